#include "server/rpc/attention_service.h"

#include "server/rpc/unary_call.h"

namespace attention::rpc {

AttentionServiceImpl::AttentionServiceImpl(const ComputeContext& context, CallsInFlight& calls)
    : context_(context), calls_(calls) {
  SetMessageAllocatorFor_ComputeAttention(&compute_messages_);
  SetMessageAllocatorFor_Encode(&encode_messages_);
}

grpc::ServerUnaryReactor* AttentionServiceImpl::ComputeAttention(
    grpc::CallbackServerContext* rpc, const v1::ComputeAttentionRequest* request,
    v1::ComputeAttentionResponse* response) {
  return new UnaryCall<ComputeAttentionCall>("ComputeAttention", context_, calls_, *rpc, *request,
                                             *response);
}

grpc::ServerBidiReactor<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse>*
AttentionServiceImpl::StreamAttention(grpc::CallbackServerContext* rpc) {
  return new AttentionStream(context_, calls_, streams_, *rpc);
}

grpc::ServerUnaryReactor* AttentionServiceImpl::Encode(grpc::CallbackServerContext* rpc,
                                                       const v1::EncodeRequest* request,
                                                       v1::EncodeResponse* response) {
  return new UnaryCall<ComputeEncodeCall>("Encode", context_, calls_, *rpc, *request, *response);
}

}  // namespace attention::rpc
