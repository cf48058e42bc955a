#include "kernels/attention/packed_heads.h"

#include <algorithm>

#include "kernels/simd/convert.h"
#include "kernels/simd/packed_panels.h"

namespace attention {
namespace {

constexpr int64_t kLine = 64;  // bytes of a cache line

int64_t ValuePanelBytes(const PackedHead::Widths& widths, int64_t kv_len) {
  return PackedPanelBytes(PackedHead::Units(kv_len) * kPanelWidth, widths.format.operand);
}

int64_t KeyBytes(const PackedHead::Widths& widths, int64_t kv_len) {
  return PackedHead::Units(kv_len) * PackedPanelBytes(widths.head_dim, widths.format.operand);
}

int64_t ValueBytes(const PackedHead::Widths& widths, int64_t kv_len) {
  return CeilDiv(widths.v_head_dim, kPanelWidth) * ValuePanelBytes(widths, kv_len);
}

// Rows [first, first + count) of head `kv_head`: a view of the caller's memory if they lie in one
// piece, otherwise converted into `scratch`.
RowsView GatherRows(const CachedHeadsView& heads, int64_t kv_head, int64_t first, int64_t count,
                    int64_t width, float* scratch) {
  const bool past = first + count <= heads.past_len;
  if (past || first >= heads.past_len) {
    const HeadsView& view = past ? heads.past : heads.current;
    return {heads.Row(kv_head, first), view.type, view.row_stride, count, width};
  }
  for (int64_t i = 0; i < count; ++i) {
    ToFloat32(heads.Row(kv_head, first + i), heads.Type(first + i), width, scratch + i * width);
  }
  return {scratch, DataType::kFloat32, width, count, width};
}

}  // namespace

int64_t PackedHead::Bytes(const Widths& widths, int64_t kv_len) {
  const int64_t mask_bytes = CeilDiv(Units(kv_len) * 8, kLine) * kLine;
  return KeyBytes(widths, kv_len) + ValueBytes(widths, kv_len) + mask_bytes;
}

int64_t PackedHead::ScratchSize(const Widths& widths) {
  return kPanelWidth * std::max(widths.head_dim, widths.v_head_dim);
}

PackedHead::PackedHead(const Widths& widths, int64_t kv_len, void* memory)
    : widths_(widths),
      kv_len_(kv_len),
      key_panel_bytes_(PackedPanelBytes(widths.head_dim, widths.format.operand)),
      value_panel_bytes_(ValuePanelBytes(widths, kv_len)),
      keys_(static_cast<char*>(memory)),
      values_(keys_ + KeyBytes(widths, kv_len)),
      non_finite_(reinterpret_cast<uint64_t*>(values_ + ValueBytes(widths, kv_len))) {}

void PackedHead::PackKeys(const CachedHeadsView& key, int64_t kv_head, int64_t unit,
                          float* scratch) const {
  const int64_t first = unit * kPanelWidth, count = std::min(kPanelWidth, kv_len_ - first);
  const RowsView rows = GatherRows(key, kv_head, first, count, widths_.head_dim, scratch);
  PackTransposedPanel(rows, widths_.format, keys_ + unit * key_panel_bytes_);
}

void PackedHead::PackValues(const CachedHeadsView& value, int64_t kv_head, int64_t unit,
                            float* scratch) const {
  const int64_t first = unit * kPanelWidth, count = std::min(kPanelWidth, kv_len_ - first);
  const int64_t width = widths_.v_head_dim;
  const RowsView rows = GatherRows(value, kv_head, first, count, width, scratch);
  const auto pack = [&](const RowsView& from) {
    return PackRows(from, widths_.format, RowPairs::kSixteenApart, first, kPanelWidth,
                    value_panel_bytes_, values_);
  };
  non_finite_[unit] = 0;
  if (pack(rows)) return;
  const uint64_t non_finite = non_finite_[unit] = NonFiniteRows(rows, widths_.format);
  for (int64_t i = 0; i < count; ++i) {
    float* const row = scratch + i * width;
    ToFloat32(value.Row(kv_head, first + i), value.Type(first + i), width, row);
    if (non_finite >> i & 1) std::fill_n(row, width, 0.0f);
  }
  pack({scratch, DataType::kFloat32, width, count, width});
}

}  // namespace attention
