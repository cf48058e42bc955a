#ifndef ATTENTION_SERVER_RPC_ENCODER_ENCODER_SERVICE_H_
#define ATTENTION_SERVER_RPC_ENCODER_ENCODER_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "attention/v1/encoder_service.grpc.pb.h"
#include "server/rpc/shared/arena_messages.h"
#include "server/rpc/shared/calls_in_flight.h"
#include "server/rpc/shared/compute_call.h"

namespace attention::rpc {

// The door for encoders: decodes, hands over to the engine, answers. gRPC's threads never compute.
// Thread-safe. All references must outlive the gRPC server that it is registered with.
class EncoderServiceImpl final : public v1::EncoderService::CallbackService {
 public:
  EncoderServiceImpl(const ComputeContext& context, CallsInFlight& calls);

  grpc::ServerUnaryReactor* Encode(grpc::CallbackServerContext* rpc,
                                   const v1::EncodeRequest* request,
                                   v1::EncodeResponse* response) override;

  // As health and reflection know the service: "attention.v1.EncoderService".
  static std::string Name() { return v1::EncoderService::service_full_name(); }

 private:
  const ComputeContext& context_;
  ArenaMessages<v1::EncodeRequest, v1::EncodeResponse> messages_;
  CallsInFlight& calls_;
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ENCODER_ENCODER_SERVICE_H_
