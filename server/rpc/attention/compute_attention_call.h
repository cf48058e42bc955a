#ifndef ATTENTION_SERVER_RPC_ATTENTION_COMPUTE_ATTENTION_CALL_H_
#define ATTENTION_SERVER_RPC_ATTENTION_COMPUTE_ATTENTION_CALL_H_

#include <string>

#include "absl/strings/string_view.h"
#include "attention/v1/attention_service.pb.h"
#include "server/rpc/attention/decode_request.h"
#include "server/rpc/shared/compute_call.h"

namespace attention::rpc {

// A call of ComputeAttention, or a message of StreamAttention. Named as ComputeCall wants it.
std::string DescribeCall(const DecodedRequest& decoded);
absl::string_view MainField(const DecodedRequest& decoded);

using ComputeAttentionCall =
    ComputeCall<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse, DecodedRequest>;
extern template class ComputeCall<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse,
                                  DecodedRequest>;

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_COMPUTE_ATTENTION_CALL_H_
