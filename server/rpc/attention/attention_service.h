#ifndef ATTENTION_SERVER_RPC_ATTENTION_ATTENTION_SERVICE_H_
#define ATTENTION_SERVER_RPC_ATTENTION_ATTENTION_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "attention/v1/attention_service.grpc.pb.h"
#include "server/rpc/attention/attention_stream.h"
#include "server/rpc/attention/compute_attention_call.h"
#include "server/rpc/shared/arena_messages.h"
#include "server/rpc/shared/calls_in_flight.h"

namespace attention::rpc {

// The door for attention: decodes, hands over to the engine, answers. gRPC's threads never compute.
// Thread-safe. All references must outlive the gRPC server that it is registered with.
class AttentionServiceImpl final : public v1::AttentionService::CallbackService {
 public:
  AttentionServiceImpl(const ComputeContext& context, CallsInFlight& calls);

  grpc::ServerUnaryReactor* ComputeAttention(grpc::CallbackServerContext* rpc,
                                             const v1::ComputeAttentionRequest* request,
                                             v1::ComputeAttentionResponse* response) override;
  grpc::ServerBidiReactor<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse>*
  StreamAttention(grpc::CallbackServerContext* rpc) override;

  // Open streams, and those to come, end once the calls that they have taken are answered.
  void EndStreams() { streams_.End(); }

  // As health and reflection know the service: "attention.v1.AttentionService".
  static std::string Name() { return v1::AttentionService::service_full_name(); }

 private:
  const ComputeContext& context_;
  ArenaMessages<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse> compute_messages_;
  CallsInFlight& calls_;
  OpenStreams streams_;
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_ATTENTION_SERVICE_H_
