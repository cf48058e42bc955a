#ifndef ATTENTION_SERVER_RPC_ENCODER_COMPUTE_ENCODE_CALL_H_
#define ATTENTION_SERVER_RPC_ENCODER_COMPUTE_ENCODE_CALL_H_

#include <string>

#include "absl/strings/string_view.h"
#include "attention/v1/encoder_service.pb.h"
#include "server/rpc/encoder/decode_encode.h"
#include "server/rpc/shared/compute_call.h"

namespace attention::rpc {

// A call of Encode. Named as ComputeCall wants it.
std::string DescribeCall(const DecodedEncode& decoded);
absl::string_view MainField(const DecodedEncode& decoded);

using ComputeEncodeCall = ComputeCall<v1::EncodeRequest, v1::EncodeResponse, DecodedEncode>;
extern template class ComputeCall<v1::EncodeRequest, v1::EncodeResponse, DecodedEncode>;

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ENCODER_COMPUTE_ENCODE_CALL_H_
