#ifndef ATTENTION_SERVER_RPC_DECODE_CONFIG_H_
#define ATTENTION_SERVER_RPC_DECODE_CONFIG_H_

#include "absl/status/status.h"
#include "attention/v1/attention.pb.h"
#include "server/rpc/decode_request.h"

namespace attention::rpc {

// Sets the settings, the mask and the rotary embedding of decoded.call, whose source is decoded,
// from `config`, which must outlive it. FieldError where one does not fit.
absl::Status DecodeConfig(const v1::AttentionConfig& config, DecodedRequest& decoded);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_DECODE_CONFIG_H_
