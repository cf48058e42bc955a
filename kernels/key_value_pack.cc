#include "kernels/key_value_pack.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/tiles.h"

namespace attention {
namespace {

// Tiles begin on cache lines.
int64_t PackedTileSize(const OnednnMatmul& product) {
  constexpr int64_t kLine = AlignedBuffer::kAlignment / sizeof(float);
  return CeilDiv(product.packed_b_size(), kLine) * kLine;
}

bool AllFinite(const float* row, int64_t dim) {
  return std::all_of(row, row + dim, [](float x) { return std::isfinite(x); });
}

}  // namespace

PackedHeads::PackedHeads(const AttentionShape& shape, int64_t key_tile, const OnednnMatmul& product)
    : heads_(shape.batch * shape.num_kv_heads),
      num_kv_heads_(shape.num_kv_heads),
      kv_len_(shape.kv_len),
      key_tile_(key_tile),
      tiles_(CeilDiv(shape.kv_len, key_tile)),
      packed_size_(PackedTileSize(product)),
      packed_(heads_ * tiles_ * packed_size_),
      non_finite_(heads_) {}

double PackedHeads::Size(const AttentionShape& shape, int64_t key_tile,
                         const OnednnMatmul& product) {
  return static_cast<double>(shape.batch) * shape.num_kv_heads * CeilDiv(shape.kv_len, key_tile) *
         PackedTileSize(product);
}

absl::StatusOr<PackedHeads> PackedHeads::Keys(const HeadsView<const float>& key,
                                              const AttentionShape& shape,
                                              const OnednnMatmul& score, Executor& executor) {
  PackedHeads packed(shape, score.config().n, score);
  if (absl::Status s = packed.Pack(Kind::kKeys, key, score, executor); !s.ok()) return s;
  return packed;
}

absl::StatusOr<PackedHeads> PackedHeads::Values(const HeadsView<const float>& value,
                                                const AttentionShape& shape,
                                                const OnednnMatmul& combine, Executor& executor) {
  PackedHeads packed(shape, combine.config().k, combine);
  if (absl::Status s = packed.Pack(Kind::kValues, value, combine, executor); !s.ok()) return s;
  return packed;
}

absl::Status PackedHeads::Pack(Kind kind, const HeadsView<const float>& heads,
                               const OnednnMatmul& product, Executor& executor) {
  const int64_t dim = kind == Kind::kKeys ? product.config().k : product.config().n;
  return executor.ParallelFor(heads_, [&](int64_t index, Workspace& workspace) {
    const int64_t b = index / num_kv_heads_, kv_head = index % num_kv_heads_;
    workspace.Grow(product.scratch_size() + key_tile_ * dim);
    float* const scratch = workspace.data();
    float* const dense = scratch + product.scratch_size();  // [key_tile, dim]
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      const int64_t first = tile * key_tile_;
      const int64_t rows = std::min(key_tile_, kv_len_ - first);
      for (int64_t i = 0; i < rows; ++i) {
        const float* const row = heads.Row(b, kv_head, first + i);
        if (kind == Kind::kKeys || AllFinite(row, dim)) {
          std::copy_n(row, dim, dense + i * dim);
        } else {
          std::fill_n(dense + i * dim, dim, 0.0f);
          non_finite_[index].push_back(first + i);
        }
      }
      std::fill(dense + rows * dim, dense + key_tile_ * dim, 0.0f);
      float* const packed = packed_.data() + (index * tiles_ + tile) * packed_size_;
      if (kind == Kind::kKeys) {
        product.PackTransposedB(dense, packed, scratch);
      } else {
        product.PackB(dense, packed, scratch);
      }
    }
    return absl::OkStatus();
  });
}

const float* PackedHeads::Tile(int64_t b, int64_t kv_head, int64_t tile) const {
  return packed_.data() + ((b * num_kv_heads_ + kv_head) * tiles_ + tile) * packed_size_;
}

absl::Span<const int64_t> PackedHeads::NonFinite(int64_t b, int64_t kv_head) const {
  return non_finite_[b * num_kv_heads_ + kv_head];
}

}  // namespace attention
