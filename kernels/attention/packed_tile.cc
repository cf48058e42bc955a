#include "kernels/attention/packed_tile.h"

#include <algorithm>

#include "kernels/attention/rows/term_sizes.h"
#include "kernels/memory/tiles.h"
#include "kernels/simd/convert.h"

namespace attention {

PackedTile::PackedTile(const Task& task, const PackedHead& head, float* workspace)
    : AttentionTile(task, LayoutOf(task)), head_(head) {
  LayOut(workspace);
}

AttentionTile::Layout PackedTile::LayoutOf(const Task& task) {
  const PackedHead::Widths& widths = task.products.widths();
  const int64_t product_rows = AttentionProducts::RowsFor(task.rows.rows());
  return {.product_rows = product_rows,
          .format = widths.format,
          .query_stride = widths.head_dim,
          .block_keys = task.products.most_keys(),
          .panel_stride = kPanelWidth * product_rows,
          .rounds_to_bfloat16 =
              widths.format.operand == DataType::kBfloat16 || widths.format.round_to_bfloat16};
}

int64_t PackedTile::WorkspaceSize(const AttentionProducts& products,
                                  const AttentionSettings& settings,
                                  const AttentionSequence& sequence) {
  const RowTile largest = RowTiling(settings, sequence.q_len).Tile(0, 0, 0);
  const PackedHead never_read(products.widths(), sequence.kv_len, nullptr);
  return PackedTile({products, settings, sequence, largest}, never_read, nullptr).LayOut(nullptr);
}

KeyBlock PackedTile::NextBlock(int64_t first, int64_t end) const {
  return products_.Block(first, end, sequence_.kv_len);
}

void PackedTile::ScoreBlock(const KeyBlock& block) {
  products_.Scores(rows(), block, queries_, head_, scores_);
}

// Reads the packed keys, which the products have just brought into the cache. This takes 1 to 2 %
// of a tile's time; reading the caller's rows would take 6 %.
void PackedTile::AddKeySizes(const KeyBlock& block) {
  const int64_t dim = products_.widths().head_dim;
  float ones[kPanelWidth];
  std::fill_n(ones, kPanelWidth, 1.0f);
  for (int64_t key = block.first; key < block.first + block.count; key += kPanelWidth) {
    AddRowSizes({head_.Keys(key), DataType::kFloat32, kPanelWidth, dim, kPanelWidth}, ones,
                key_sizes_);
  }
}

// The first block does not add to Y but replaces it, since Y is not cleared before.
void PackedTile::CombineBlock(const KeyBlock& block) {
  if (layout_.format.round_to_bfloat16) {
    for (int64_t r = 0; r < rows(); ++r) {
      float* const p = scores_ + r * block.stride;
      RoundToBfloat16(p, block.keys, p);
    }
  }
  CombineNonFinite(block);
  const void* const weights =
      weights16_ != nullptr ? static_cast<const void*>(weights16_) : scores_;
  products_.Combine(rows(), block, weights, head_, has_sums_, sums_);
  has_sums_ = true;
}

void PackedTile::CombineNonFinite(const KeyBlock& block) {
  for (int64_t unit = 0; unit < block.count; unit += kPanelWidth) {
    const uint64_t non_finite = head_.NonFinite(block.first + unit);
    if (non_finite == 0) continue;
    for (int64_t j = unit; j < std::min(unit + kPanelWidth, block.count); ++j) {
      if ((non_finite >> (j - unit) & 1) == 0) continue;
      if (!has_sums_) ClearSums();
      const float* const value = LoadValue(block.first + j);
      for (int64_t r = 0; r < rows(); ++r) {
        const float weight = TakeWeight(r, block, j);
        if (Sees(r, block.first + j)) AddValue(r, weight, value);
      }
    }
  }
}

}  // namespace attention
