#include "server/rpc/encoder/compute_encode_call.h"

#include "absl/strings/str_cat.h"
#include "server/rpc/encoder/write_encode_response.h"
#include "server/rpc/shared/compute_call-inl.h"

namespace attention::rpc {

std::string DescribeCall(const DecodedEncode& decoded) {
  return absl::StrCat(LayerText(decoded.call.layer), "batch ", decoded.call.lens.size(),
                      ", tokens ", decoded.call.tokens());
}

absl::string_view MainField(const DecodedEncode& decoded) {
  return decoded.call.vectors.has_value() ? "embeddings" : "token_ids";
}

template class ComputeCall<v1::EncodeRequest, v1::EncodeResponse, DecodedEncode>;

}  // namespace attention::rpc
