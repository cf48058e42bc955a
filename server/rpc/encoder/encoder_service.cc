#include "server/rpc/encoder/encoder_service.h"

#include "server/rpc/encoder/compute_encode_call.h"
#include "server/rpc/shared/unary_call.h"

namespace attention::rpc {

EncoderServiceImpl::EncoderServiceImpl(const ComputeContext& context, CallsInFlight& calls)
    : context_(context), calls_(calls) {
  SetMessageAllocatorFor_Encode(&messages_);
}

grpc::ServerUnaryReactor* EncoderServiceImpl::Encode(grpc::CallbackServerContext* rpc,
                                                     const v1::EncodeRequest* request,
                                                     v1::EncodeResponse* response) {
  return new UnaryCall<ComputeEncodeCall>("Encode", context_, calls_, *rpc, *request, *response);
}

}  // namespace attention::rpc
