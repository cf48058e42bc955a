#include "server/rpc/attention/attention_service.h"

#include "server/rpc/attention/contract_results.h"
#include "server/rpc/shared/unary_call.h"

namespace attention::rpc {

AttentionServiceImpl::AttentionServiceImpl(const ComputeContext& context, CallsInFlight& calls)
    : context_(context), calls_(calls) {
  SetMessageAllocatorFor_ComputeAttention(&compute_messages_);
  ListedResults();
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

}  // namespace attention::rpc
