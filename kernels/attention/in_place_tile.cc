#include "kernels/attention/in_place_tile.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention/rows/stream_rows.h"
#include "kernels/attention/rows/term_sizes.h"
#include "kernels/memory/rows_view.h"
#include "kernels/memory/tiles.h"
#include "kernels/simd/convert.h"

namespace attention {
namespace {

// The most keys of one block.
constexpr int64_t kBlockKeys = 512;

bool AllFinite(const float* x, int64_t count) {
  return std::all_of(x, x + count, [](float number) { return std::isfinite(number); });
}

// Calls f(rows, offset) for the pieces of memory in which tokens [first, first + count) lie.
template <typename F>
void ForEachPiece(const CachedHeadsView& heads, int64_t kv_head, int64_t first, int64_t count,
                  int64_t width, F f) {
  const int64_t in_past = std::clamp<int64_t>(heads.past_len - first, 0, count);
  const auto piece = [&](const HeadsView& view, int64_t offset, int64_t rows) {
    if (rows == 0) return;
    f(RowsView{heads.Row(kv_head, first + offset), view.type, view.row_stride, rows, width},
      offset);
  };
  piece(heads.past, 0, in_past);
  piece(heads.current, in_past, count - in_past);
}

}  // namespace

InPlaceTile::InPlaceTile(const Task& task, float* workspace) : AttentionTile(task, LayoutOf(task)) {
  LayOutAll(workspace);
}

AttentionTile::Layout InPlaceTile::LayoutOf(const Task& task) {
  const PackedHead::Widths& widths = task.products.widths();
  return {.product_rows = task.rows.rows(),
          .format = {},
          .query_stride = RoundUp(widths.head_dim, 16),
          .block_keys = kBlockKeys,
          .sum_stride = RoundUp(widths.v_head_dim, 16),
          .panel_stride = kPanelWidth,
          .adds_from_zero = true};
}

int64_t InPlaceTile::LayOutAll(float* workspace) {
  const int64_t shared = LayOut(workspace);
  const int64_t sums = RoundUp(rows() * layout_.sum_stride, 16);
  if (workspace != nullptr) {
    saved_sums_ = workspace + shared;
    values_ = saved_sums_ + sums;
  }
  return shared + sums + kPanelWidth * products_.widths().v_head_dim;
}

int64_t InPlaceTile::WorkspaceSize(const AttentionProducts& products,
                                   const AttentionSettings& settings,
                                   const AttentionSequence& sequence) {
  const RowTile largest = RowTiling(settings, sequence.q_len).Tile(0, 0, 0);
  return InPlaceTile({products, settings, sequence, largest}, nullptr).LayOutAll(nullptr);
}

KeyBlock InPlaceTile::NextBlock(int64_t first, int64_t end) const {
  const int64_t count = std::min(kBlockKeys, std::min(end, sequence_.kv_len) - first);
  return {.first = first, .keys = RoundUp(count, 32), .count = count, .stride = kBlockKeys};
}

void InPlaceTile::ScoreBlock(const KeyBlock& block) {
  ForEachPiece(sequence_.key, kv_head(), block.first, block.count, products_.widths().head_dim,
               [&](const RowsView& keys, int64_t offset) {
                 DotRows(static_cast<const float*>(queries_), rows(), layout_.query_stride, keys,
                         scores_ + offset, block.stride);
               });
}

void InPlaceTile::AddKeySizes(const KeyBlock& block) {
  ForEachPiece(sequence_.key, kv_head(), block.first, block.count, products_.widths().head_dim,
               [&](const RowsView& keys, int64_t) { AddColumnSizes(keys, key_sizes_); });
}

void InPlaceTile::CombineBlock(const KeyBlock& block) {
  const int64_t size = rows() * layout_.sum_stride;
  std::copy_n(sums_, size, saved_sums_);
  ForEachPiece(sequence_.value, kv_head(), block.first, block.count, products_.widths().v_head_dim,
               [&](const RowsView& values, int64_t offset) {
                 AddWeightedRows(scores_ + offset, rows(), block.stride, values, sums_,
                                 layout_.sum_stride);
               });
  if (AllFinite(sums_, size)) return;
  // An infinity or a NaN among the values has reached every row, because 0 * NaN is NaN.
  std::copy_n(saved_sums_, size, sums_);
  CombineFinite(block);
}

void InPlaceTile::CombineFinite(const KeyBlock& block) {
  const int64_t width = products_.widths().v_head_dim;
  for (int64_t first = 0; first < block.count; first += kPanelWidth) {
    const int64_t count = std::min(kPanelWidth, block.count - first);
    for (int64_t j = 0; j < count; ++j) {
      const int64_t key = block.first + first + j;
      float* const value = values_ + j * width;
      ToFloat32(sequence_.value.Row(kv_head(), key), sequence_.value.Type(key), width, value);
      if (AllFinite(value, width)) continue;
      for (int64_t r = 0; r < rows(); ++r) {
        const float weight = TakeWeight(r, block, first + j);
        if (Sees(r, key)) AddValue(r, weight, value);
      }
      std::fill_n(value, width, 0.0f);
    }
    AddWeightedRows(scores_ + first, rows(), block.stride,
                    {values_, DataType::kFloat32, width, count, width}, sums_, layout_.sum_stride);
  }
}

}  // namespace attention
