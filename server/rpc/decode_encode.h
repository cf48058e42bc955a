#ifndef ATTENTION_SERVER_RPC_DECODE_ENCODE_H_
#define ATTENTION_SERVER_RPC_DECODE_ENCODE_H_

#include "absl/status/statusor.h"
#include "attention/v1/encode.pb.h"
#include "server/engine/encode_call.h"
#include "server/models/layer_store.h"
#include "server/rpc/decode_request.h"
#include "server/rpc/make_tensor.h"

namespace attention::rpc {

// An Encode request that can be run. `call` reads the request's memory and `storage`; its outputs
// are not set yet (see MakeRoom).
struct DecodedEncode {
  engine::EncodeCall call;
  ResultForm form = ResultForm::kBytes;
  TensorStorage storage;
};

// As DecodeRequest of decode_request.h.
absl::StatusOr<DecodedEncode> DecodeRequest(const v1::EncodeRequest& request,
                                            const RequestLimits& limits,
                                            engine::LayerStore& layers);

// The size of the results that MakeRoom would make room for, in bytes. A double, which does not
// overflow.
double ResponseBytes(const DecodedEncode& decoded);

// As MakeRoom and FinishResults of encode_response.h; an encoder has no indices among its results.
void MakeRoom(DecodedEncode& decoded, v1::EncodeResponse& response);
inline void FinishResults(const DecodedEncode& /*decoded*/, v1::EncodeResponse& /*response*/) {}

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_DECODE_ENCODE_H_
