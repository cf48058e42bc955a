#ifndef ATTENTION_SERVER_RPC_ATTENTION_DECODE_HEADS_H_
#define ATTENTION_SERVER_RPC_ATTENTION_DECODE_HEADS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/engine/attention_call.h"
#include "server/rpc/messages/decode_tensor.h"

// Tensors of heads in one of the layouts [len, heads * dim], [batch, len, heads * dim] and
// [batch, heads, len, dim].
namespace attention::rpc {

struct HeadsShape {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t len = 1;
  int64_t dim = 1;  // of one head
};

// The number of heads that the shape itself says: that of 4 axes does.
std::optional<int64_t> ImpliedHeads(const TensorView& tensor);

// Reads `tensor` as `heads` heads. `heads_name` is the setting that says how many. FieldError where
// it is in none of the layouts or has other heads.
absl::StatusOr<HeadsShape> ReadHeads(const TensorView& tensor, int64_t heads,
                                     absl::string_view heads_name, absl::string_view field);

engine::BatchView ViewHeads(const TensorView& tensor, const HeadsShape& s);

// The shape of an output with as many axes as `rank`, for the queries of the source.
std::vector<int64_t> OutputShape(int64_t rank, int64_t rows, const engine::CallShape& s);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_DECODE_HEADS_H_
