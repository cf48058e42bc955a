#include "server/rpc/attention/compute_attention_call.h"

#include "absl/strings/str_cat.h"
#include "server/rpc/attention/write_response.h"
#include "server/rpc/shared/compute_call-inl.h"

namespace attention::rpc {

std::string DescribeCall(const DecodedRequest& decoded) {
  const engine::CallShape& s = decoded.call.shape;
  return absl::StrCat(LayerText(decoded.call.layer), "batch ", s.batch, ", q_len ", s.q_len,
                      ", kv_len ", s.kv_len, ", heads ", s.num_heads, "/", s.num_kv_heads,
                      ", head_dim ", s.head_dim);
}

absl::string_view MainField(const DecodedRequest& /*decoded*/) { return "source"; }

template class ComputeCall<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse,
                           DecodedRequest>;

}  // namespace attention::rpc
