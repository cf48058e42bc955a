#ifndef ATTENTION_SERVER_RPC_ENCODER_DECODE_ENCODE_RESULTS_H_
#define ATTENTION_SERVER_RPC_ENCODER_DECODE_ENCODE_RESULTS_H_

#include "absl/status/status.h"
#include "attention/v1/encoder_service.pb.h"
#include "server/engine/encode_call.h"

namespace attention::rpc {

// Sets what `call`, whose layer is known, is to return: results, pooling and probes. FieldError.
absl::Status DecodeEncodeResults(const v1::EncodeRequest& request, engine::EncodeCall& call);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ENCODER_DECODE_ENCODE_RESULTS_H_
