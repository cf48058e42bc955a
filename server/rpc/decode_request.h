#ifndef ATTENTION_SERVER_RPC_DECODE_REQUEST_H_
#define ATTENTION_SERVER_RPC_DECODE_REQUEST_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.pb.h"
#include "server/engine/attention_call.h"
#include "server/rpc/decode_tensor.h"

namespace attention::rpc {

// What this server accepts of one call.
struct RequestLimits {
  int64_t max_message_bytes = int64_t{64} << 20;  // of a request, and of a response's results
  int64_t max_tokens = 131072;                    // batch * q_len, and batch * kv_len
};

// A request that can be run: every shape fits, every element is there, and the results are no
// larger than a response may be. `call` reads the request's memory and `storage`; its outputs are
// not set yet (see MakeRoom).
struct DecodedRequest {
  engine::AttentionCall call;
  std::vector<int64_t> output_shape;  // of RESULT_OUTPUT
  int64_t top_k = 1;
  TensorStorage storage;
};

// Decodes and checks all of `request`, which must outlive the result. INVALID_ARGUMENT with a
// google.rpc.BadRequest names the first field that is wrong, what it is and what is wanted.
// Allocates nothing that grows with what the request merely claims.
absl::StatusOr<DecodedRequest> DecodeRequest(const v1::ComputeAttentionRequest& request,
                                             const RequestLimits& limits);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_DECODE_REQUEST_H_
