#ifndef ATTENTION_KERNELS_PACKED_PANELS_H_
#define ATTENTION_KERNELS_PACKED_PANELS_H_

#include <cstdint>

#include "kernels/data_type.h"
#include "kernels/tiles.h"

// The second operand of a product, B [k, n], as oneDNN's AVX-512 kernels want it: cut into panels
// of 64 columns, each of which a product walks through from front to back (oneDNN's layouts
// BA16a64b and BA16a64b2a).
//
//   float32    panel [k rounded up to 16][64]
//   bfloat16   panel [k rounded up to 32, in pairs][64][2]: two rows that a dot-product instruction
//              multiplies at once lie side by side
//
// What pads k and n is 0. A panel begins on a cache line. Thread-safe for different memory.
namespace attention {

constexpr int64_t kPanelWidth = 64;  // columns

// k with its padding. `operand` is kFloat32 or kBfloat16 here and below.
constexpr int64_t PaddedDepth(int64_t k, DataType operand) {
  const int64_t unit = operand == DataType::kBfloat16 ? 32 : 16;
  return RoundUp(k, unit);
}

// Bytes of one panel of a B with k rows.
constexpr int64_t PackedPanelBytes(int64_t k, DataType operand) {
  return PaddedDepth(k, operand) * kPanelWidth * ByteSize(operand);
}

// Bytes of a whole packed B [k, n].
constexpr int64_t PackedBytes(int64_t k, int64_t n, DataType operand) {
  return CeilDiv(n, kPanelWidth) * PackedPanelBytes(k, operand);
}

// `count` rows of numbers in the caller's memory, any alignment; row i begins at
// data + i * stride * ByteSize(type).
struct RowsView {
  const void* data = nullptr;
  DataType type = DataType::kFloat32;
  int64_t stride = 0;  // numbers from one row to the next
  int64_t count = 0;
  int64_t width = 0;  // numbers of a row
};

// How numbers of any type become operands.
struct PackAs {
  DataType operand = DataType::kFloat32;
  bool round_to_bfloat16 = false;  // kFloat32 that holds bfloat16 numbers
};

// Packs B^T [n, k] into the panels of B: rows are columns of B. At most kPanelWidth rows: one
// panel. This is how K^T is packed.
void PackTransposedPanel(const RowsView& b_transposed, PackAs as, void* panel);

// Which two of 32 rows of B lie side by side in a bfloat16 panel.
enum class RowPairs : uint8_t {
  kNeighbours,    // 2i and 2i + 1, as oneDNN has it
  kSixteenApart,  // i and i + 16: for an A whose columns SoftmaxTile has woven in the same way
};

// Packs rows [first_row, first_row + b.count) of a B whose panels are panel_bytes apart, and zeros
// behind them up to row first_row + padded_count. first_row and padded_count are multiples of 16,
// for bfloat16 of 32. Returns whether all of them are finite, rounded to bfloat16 where `as` says
// so.
bool PackRows(const RowsView& b, PackAs as, RowPairs pairs, int64_t first_row, int64_t padded_count,
              int64_t panel_bytes, void* panels);

// Bit i: row i of at most 64 holds an infinity or a NaN, also one that rounding to bfloat16 brings
// about where `as` says so.
uint64_t NonFiniteRows(const RowsView& rows, PackAs as);

}  // namespace attention

#endif  // ATTENTION_KERNELS_PACKED_PANELS_H_
