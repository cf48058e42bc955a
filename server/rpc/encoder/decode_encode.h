#ifndef ATTENTION_SERVER_RPC_ENCODER_DECODE_ENCODE_H_
#define ATTENTION_SERVER_RPC_ENCODER_DECODE_ENCODE_H_

#include "absl/status/statusor.h"
#include "attention/v1/encoder_service.pb.h"
#include "server/engine/encode_call.h"
#include "server/models/layer_store.h"
#include "server/rpc/messages/decode_tensor.h"
#include "server/rpc/messages/make_tensor.h"
#include "server/rpc/messages/request_limits.h"

namespace attention::rpc {

// A request that can be run. `call` reads the request's memory and `storage`; its outputs
// are not set yet (see MakeRoom).
struct DecodedEncode {
  engine::EncodeCall call;
  ResultForm form = ResultForm::kBytes;
  TensorStorage storage;
};

// Decodes and checks all of `request`, which must outlive the result. INVALID_ARGUMENT with a
// google.rpc.BadRequest names the first field that is wrong, what it is and what is wanted.
// Allocates nothing that grows with what the request merely claims. Fails as LayerStore::Get where
// `layers` has no such encoder.
absl::StatusOr<DecodedEncode> DecodeRequest(const v1::EncodeRequest& request,
                                            const RequestLimits& limits,
                                            engine::LayerStore& layers);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ENCODER_DECODE_ENCODE_H_
