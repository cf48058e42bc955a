#ifndef ATTENTION_KERNELS_SIMD_PACKED_PANELS_H_
#define ATTENTION_KERNELS_SIMD_PACKED_PANELS_H_

#include <cstdint>

#include "kernels/memory/panel_layout.h"
#include "kernels/memory/rows_view.h"

// Packs rows of numbers of any type into panels, whose layout panel_layout.h describes. Thread-safe
// for different memory.
namespace attention {

// Packs at most kPanelWidth rows of B^T [n, k], which are columns of B, into one panel of B. This
// is how K^T is packed from the rows of K.
void PackTransposedPanel(const RowsView& b_transposed, OperandFormat format, void* panel);

// Which two of 32 rows of B lie side by side in a bfloat16 panel.
enum class RowPairs : uint8_t {
  kNeighbours,    // 2i and 2i + 1, as oneDNN has it
  kSixteenApart,  // i and i + 16, for an A whose columns SoftmaxTile has interleaved in the same
                  // way
};

// Packs `b` as rows [first_row, first_row + b.count) of a B whose panels are panel_bytes apart, and
// zeros after them up to row first_row + padded_count. first_row and padded_count are multiples of
// 16, or of 32 for bfloat16. Returns whether all numbers are finite after they are rounded as
// `format` says.
bool PackRows(const RowsView& b, OperandFormat format, RowPairs pairs, int64_t first_row,
              int64_t padded_count, int64_t panel_bytes, void* panels);

// Returns a bit for each of at most 64 rows: bit i is set if row i holds an infinity or a NaN after
// its numbers are rounded as `format` says.
uint64_t NonFiniteRows(const RowsView& rows, OperandFormat format);

}  // namespace attention

#endif  // ATTENTION_KERNELS_SIMD_PACKED_PANELS_H_
