#ifndef ATTENTION_KERNELS_SIMD_PACKED_PANELS_H_
#define ATTENTION_KERNELS_SIMD_PACKED_PANELS_H_

#include <cstdint>

#include "kernels/memory/panel_layout.h"
#include "kernels/memory/rows_view.h"

// Rows of numbers of any type, packed into panels (panel_layout.h says how those lie). Thread-safe
// for different memory.
namespace attention {

// Packs B^T [n, k] into the panels of B: rows are columns of B. At most kPanelWidth rows: one
// panel. This is how K^T is packed.
void PackTransposedPanel(const RowsView& b_transposed, OperandFormat format, void* panel);

// Which two of 32 rows of B lie side by side in a bfloat16 panel.
enum class RowPairs : uint8_t {
  kNeighbours,    // 2i and 2i + 1, as oneDNN has it
  kSixteenApart,  // i and i + 16: for an A whose columns SoftmaxTile has interleaved alike
};

// Packs rows [first_row, first_row + b.count) of a B whose panels are panel_bytes apart, and zeros
// behind them up to row first_row + padded_count. first_row and padded_count are multiples of 16,
// for bfloat16 of 32. Returns whether all of them are finite, rounded to bfloat16 where `format`
// says so.
bool PackRows(const RowsView& b, OperandFormat format, RowPairs pairs, int64_t first_row,
              int64_t padded_count, int64_t panel_bytes, void* panels);

// Bit i: row i of at most 64 holds an infinity or a NaN, also one that rounding to bfloat16 brings
// about where `format` says so.
uint64_t NonFiniteRows(const RowsView& rows, OperandFormat format);

}  // namespace attention

#endif  // ATTENTION_KERNELS_SIMD_PACKED_PANELS_H_
