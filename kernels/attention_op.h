#ifndef ATTENTION_KERNELS_ATTENTION_OP_H_
#define ATTENTION_KERNELS_ATTENTION_OP_H_

#include <compare>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/attention_shape.h"
#include "kernels/executor.h"
#include "kernels/key_value_pack.h"
#include "kernels/mask.h"
#include "kernels/normalize.h"
#include "kernels/onednn_matmul.h"

namespace attention {

// What an attention call reads. All memory is the caller's and stays so.
struct AttentionInputs {
  AttentionShape shape;
  HeadsView<const float> query;  // [batch, num_heads, q_len, head_dim]
  HeadsView<const float> key;    // [batch, num_kv_heads, kv_len, head_dim]
  HeadsView<const float> value;  // [batch, num_kv_heads, kv_len, v_head_dim]
  float scale = 1.0f;
  Normalization normalization = Normalization::kSoftmax;
  bool causal = false;
  MaskView mask;
  // Where in its sequence each of the q_len queries stands, for mask and causality. Empty: 0, 1,
  // ...
  absl::Span<const int64_t> query_positions;

  int64_t Position(int64_t row) const {
    return query_positions.empty() ? row : query_positions[row];
  }
};

// What a combination of given weights reads.
struct CombineInputs {
  AttentionShape shape;                      // head_dim is not used
  HeadsView<const float> attention_weights;  // [batch, num_heads, number of rows, kv_len]
  HeadsView<const float> value;              // [batch, num_kv_heads, kv_len, v_head_dim]
  // Which rows of attention_weights the q_len queries are. Empty: 0, 1, ...
  absl::Span<const int64_t> query_positions;

  int64_t Position(int64_t row) const {
    return query_positions.empty() ? row : query_positions[row];
  }
};

// Where the results go; what is null is not wanted. Dense and row-major but for `output`.
struct AttentionOutputs {
  HeadsView<float> output;             // [batch, num_heads, q_len, v_head_dim]
  float* attention_scores = nullptr;   // [batch, num_heads, q_len, kv_len]: scale * Q K^T
  float* attention_weights = nullptr;  // [batch, num_heads, q_len, kv_len]
  float* weighted_values = nullptr;    // [batch, num_heads, kv_len, q_len, v_head_dim]
  float* log_sum_exp = nullptr;        // [batch, num_heads, q_len]; softmax only
  int64_t top_k = 0;                   // for the two below, 1 to kv_len
  int32_t* top_indices = nullptr;      // [batch, num_heads, q_len, top_k]
  float* top_weights = nullptr;        // [batch, num_heads, q_len, top_k]

  // Whether something is wanted that needs the scores normalised.
  bool NeedWeights() const {
    return output.data != nullptr || attention_weights != nullptr || weighted_values != nullptr ||
           log_sum_exp != nullptr || top_indices != nullptr;
  }
  // Whether nothing at all is wanted.
  bool Empty() const { return attention_scores == nullptr && !NeedWeights(); }
};

// How a problem is cut up: `query` rows of queries against `key` keys at a time.
struct AttentionTiles {
  int64_t query = 0;
  int64_t key = 0;

  auto operator<=>(const AttentionTiles&) const = default;
};

// Scaled dot-product attention for one set of widths, any lengths:
//
//   S = scale * Q K^T,   P = normalise(S + bias),   Y = P V
//
// Vaswani et al. 2017, eq. 1; masks, causality and rows that see nothing (zeros) as in ONNX
// Attention and operator.md. One task computes all keys of one query tile of one head, so that a
// whole row is normalised at once and a result has the same bits whichever others are asked for, in
// any batch, on any number of threads. Safe to run from many threads.
class AttentionOp {
 public:
  struct Config {
    int64_t head_dim = 0;
    int64_t v_head_dim = 0;
    AttentionTiles tiles;  // from Tiles

    auto operator<=>(const Config&) const = default;
  };

  // The tiles for one sequence, by its own lengths alone. A small, fixed set.
  static AttentionTiles Tiles(int64_t q_len, int64_t kv_len);

  // Compiles the products. INVALID_ARGUMENT or INTERNAL as OnednnMatmul::Create.
  static absl::StatusOr<AttentionOp> Create(const Config& config);

  // Bytes that Run allocates for a problem of this shape on `threads` threads, to be compared with
  // a limit beforehand; Combine needs less. A double, which does not overflow.
  double WorkingBytes(const AttentionShape& shape, int threads) const;

  // INVALID_ARGUMENT where a row of scores sums to 0 under kSum, naming the first such row.
  // Otherwise fails as Executor::ParallelFor.
  absl::Status Run(const AttentionInputs& inputs, const AttentionOutputs& outputs,
                   Executor& executor) const;

  // Y = P V with the caller's P, used as it is. Fails as Executor::ParallelFor. Of `outputs`,
  // attention_scores and log_sum_exp must be null.
  absl::Status Combine(const CombineInputs& inputs, const AttentionOutputs& outputs,
                       Executor& executor) const;

 private:
  // The query rows that one task computes.
  struct Tile {
    int64_t b = 0;
    int64_t head = 0;
    int64_t first = 0;  // query row
    int64_t rows = 0;   // up to tiles.query

    // Where row `i` of the tile stands in a result [batch, num_heads, q_len, ...].
    int64_t ResultRow(const AttentionShape& shape, int64_t i) const {
      return (b * shape.num_heads + head) * shape.q_len + first + i;
    }
  };
  // Where a task keeps its intermediate results, within its thread's workspace.
  struct TileMemory;

  int64_t PaddedKeys(int64_t kv_len) const;
  int64_t WorkspaceSize(int64_t kv_len) const;
  template <typename Compute>
  absl::Status ForEachTile(const AttentionShape& shape, Executor& executor, Compute compute) const;
  void ScoreTile(const AttentionInputs& inputs, const PackedHeads& keys, const Tile& tile,
                 const TileMemory& memory) const;
  absl::Status NormalizeTile(const AttentionInputs& inputs, const Tile& tile,
                             const TileMemory& memory, float* log_sum_exp) const;
  template <typename Sees>
  void CombineTile(const AttentionShape& shape, const HeadsView<const float>& value,
                   const PackedHeads& values, const Tile& tile, Sees sees,
                   const TileMemory& memory) const;
  template <typename Sees>
  void DeliverTile(const AttentionShape& shape, const HeadsView<const float>& value,
                   const PackedHeads* values, const Tile& tile, Sees sees, const TileMemory& memory,
                   const AttentionOutputs& outputs) const;

  AttentionOp(const Config& config, OnednnMatmul score, OnednnMatmul combine);

  Config config_;
  OnednnMatmul score_;    // [query tile, head_dim] x [head_dim, key tile]
  OnednnMatmul combine_;  // += [query tile, key tile] x [key tile, v_head_dim]
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_OP_H_
