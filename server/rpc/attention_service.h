#ifndef ATTENTION_SERVER_RPC_ATTENTION_SERVICE_H_
#define ATTENTION_SERVER_RPC_ATTENTION_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attention/v1/attention_service.grpc.pb.h"
#include "server/engine/engine.h"
#include "server/rpc/decode_request.h"

namespace attention::rpc {

// Counts the calls in flight, so that a server can stop taking new ones and wait for the rest.
// Thread-safe.
class CallsInFlight {
 public:
  // False once draining: the call is to be refused, and Leave not called for it.
  bool Enter();
  void Leave();

  // From now on Enter returns false. Waits until no call is in flight, at most `limit`; returns
  // whether none is.
  bool Drain(absl::Duration limit);

 private:
  bool None() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return count_ == 0; }

  absl::Mutex mutex_;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

// The door for attention.v1: decodes, hands to the engine, encodes. gRPC's threads never compute.
// Thread-safe. All three references must outlive the gRPC server that it is registered with.
class AttentionServiceImpl final : public v1::AttentionService::CallbackService {
 public:
  AttentionServiceImpl(engine::Engine& engine, const RequestLimits& limits, CallsInFlight& calls);

  grpc::ServerUnaryReactor* ComputeAttention(grpc::CallbackServerContext* context,
                                             const v1::ComputeAttentionRequest* request,
                                             v1::ComputeAttentionResponse* response) override;

  // As health and reflection know the service: "attention.v1.AttentionService".
  static std::string Name() { return v1::AttentionService::service_full_name(); }

 private:
  engine::Engine& engine_;
  const RequestLimits limits_;
  CallsInFlight& calls_;
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_SERVICE_H_
