#ifndef ATTENTION_SERVER_RPC_ATTENTION_DECODE_ROTARY_H_
#define ATTENTION_SERVER_RPC_ATTENTION_DECODE_ROTARY_H_

#include "absl/status/status.h"
#include "attention/v1/attention.pb.h"
#include "server/engine/attention_call.h"

namespace attention::rpc {

// Sets call.rotary; the call's lengths and heads are decoded. FieldError where something does not
// fit.
absl::Status DecodeRotary(const v1::RotaryEmbedding& rotary, engine::AttentionCall& call);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_DECODE_ROTARY_H_
