#ifndef ATTENTION_KERNELS_KEY_VALUE_PACK_H_
#define ATTENTION_KERNELS_KEY_VALUE_PACK_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/aligned_buffer.h"
#include "kernels/attention_shape.h"
#include "kernels/executor.h"
#include "kernels/onednn_matmul.h"

namespace attention {

// The keys or the values of every head, cut into tiles of `key_tile` tokens, the last one filled up
// with zeros, and packed as the second operand of a product. Packed once a call, read by every
// query tile of every query head that shares the key/value head. Immutable once made.
class PackedHeads {
 public:
  // K^T, packed for `score` [query tile, head_dim] x [head_dim, key tile]. Fails as ParallelFor.
  static absl::StatusOr<PackedHeads> Keys(const HeadsView<const float>& key,
                                          const AttentionShape& shape, const OnednnMatmul& score,
                                          Executor& executor);

  // V, packed for `combine` [query tile, key tile] x [key tile, v_head_dim]. Fails as ParallelFor.
  //
  // A token with an infinity or a NaN is packed as zeros and listed: in the product it would reach
  // every row, because 0 * NaN is NaN, also the rows that do not see it.
  static absl::StatusOr<PackedHeads> Values(const HeadsView<const float>& value,
                                            const AttentionShape& shape,
                                            const OnednnMatmul& combine, Executor& executor);

  // Tile `tile` of key/value head `kv_head` of sequence `b`, in oneDNN's packed layout.
  const float* Tile(int64_t b, int64_t kv_head, int64_t tile) const;

  // The tokens of a value head that were packed as zeros; ascending, usually none.
  absl::Span<const int64_t> NonFinite(int64_t b, int64_t kv_head) const;

  // Floats that the packed heads take.
  static double Size(const AttentionShape& shape, int64_t key_tile, const OnednnMatmul& product);

 private:
  enum class Kind { kKeys, kValues };

  PackedHeads(const AttentionShape& shape, int64_t key_tile, const OnednnMatmul& product);
  absl::Status Pack(Kind kind, const HeadsView<const float>& heads, const OnednnMatmul& product,
                    Executor& executor);

  int64_t heads_;  // batch * num_kv_heads
  int64_t num_kv_heads_;
  int64_t kv_len_;
  int64_t key_tile_;
  int64_t tiles_;        // of one head
  int64_t packed_size_;  // floats of one packed tile, a multiple of a cache line
  AlignedBuffer packed_;
  std::vector<std::vector<int64_t>> non_finite_;  // by batch * num_kv_heads
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_KEY_VALUE_PACK_H_
