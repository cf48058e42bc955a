#ifndef ATTENTION_SERVER_RPC_SHARED_REFLECTION_SERVICE_H_
#define ATTENTION_SERVER_RPC_SHARED_REFLECTION_SERVICE_H_

#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "server/rpc/shared/stall_guard.h"

namespace attention::rpc {

// Server reflection, as grpc.reflection.v1.ServerReflection and, with the same answers, as
// grpc.reflection.v1alpha.ServerReflection: gRPC's own plugin has only the latter. Each question of
// a stream is answered before the next one is read, no thread waits for a client, and a client that
// does not read its answer is cut off by the stall guard. Thread-safe.
class ReflectionServices {
 public:
  // Lists `services`, those of reflection and grpc.health.v1.Health, which gRPC serves itself;
  // tells of all files of `pool`, which must outlive this as `stalls` must.
  ReflectionServices(std::vector<std::string> services, StallGuard& stalls,
                     const google::protobuf::DescriptorPool& pool =
                         *google::protobuf::DescriptorPool::generated_pool());
  ~ReflectionServices();

  // Must outlive the server that is built.
  void Register(grpc::ServerBuilder& builder);

 private:
  std::vector<std::unique_ptr<grpc::Service>> services_;  // one for each name
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_REFLECTION_SERVICE_H_
