#ifndef ATTENTION_SERVER_RPC_ATTENTION_DECODE_REQUEST_H_
#define ATTENTION_SERVER_RPC_ATTENTION_DECODE_REQUEST_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.pb.h"
#include "server/engine/attention_call.h"
#include "server/models/layer_store.h"
#include "server/rpc/messages/decode_tensor.h"
#include "server/rpc/messages/make_tensor.h"
#include "server/rpc/messages/request_limits.h"

namespace attention::rpc {

// A request that can be run: every shape fits, every element is there, and the results are no
// larger than a response may be. `call` reads the request's memory and `storage`; its outputs are
// not set yet (see MakeRoom).
struct DecodedRequest {
  engine::AttentionCall call;
  std::vector<int64_t> output_shape;  // of RESULT_OUTPUT
  int64_t top_k = 1;
  ResultForm form = ResultForm::kBytes;  // kFloatValues: all of call.types are kFloat32
  TensorStorage storage;
};

// Decodes and checks all of `request`, which must outlive the result. INVALID_ARGUMENT with a
// google.rpc.BadRequest names the first field that is wrong, what it is and what is wanted.
// Allocates nothing that grows with what the request merely claims. Fails as LayerStore::Get where
// the request names a layer of `layers`.
absl::StatusOr<DecodedRequest> DecodeRequest(const v1::ComputeAttentionRequest& request,
                                             const RequestLimits& limits,
                                             engine::LayerStore& layers);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_DECODE_REQUEST_H_
