#ifndef ATTENTION_KERNELS_SIMD_TILE_ROWS_H_
#define ATTENTION_KERNELS_SIMD_TILE_ROWS_H_

#include <cstdint>

#include "kernels/memory/data_type.h"
#include "kernels/memory/panel_layout.h"
#include "kernels/memory/rows_view.h"

// Loads the rows of a tile from the caller's memory into ours, and stores them back, many rows at a
// time. Thread-safe for different memory.
namespace attention {

// Rows that are written to the caller's memory; row i begins at data + i * stride * ByteSize(type).
struct MutableRowsView {
  void* data = nullptr;
  DataType type = DataType::kFloat32;
  int64_t stride = 0;  // numbers from one row to the next
  int64_t count = 0;
  int64_t width = 0;  // numbers of a row
};

// to[i] = row i in operand form. The rows of `to` are `stride` numbers apart, and their numbers
// from rows.width up to `stride` become 0. `to` is aligned to 4 bytes.
void LoadRows(const RowsView& rows, OperandFormat format, int64_t stride, void* to);

// The least magnitude of a number that StoreScaledRows calls ordinary, 8.5e-22.
constexpr float kLeastOrdinary = 0x1p-70f;

// Row i = from[i] * factors[i], rounded to the rows' type; the rows of `from` are from_stride
// apart. Returns whether all of these products are ordinary, that is finite and of magnitude
// kLeastOrdinary or more, before they are rounded.
bool StoreScaledRows(const float* from, int64_t from_stride, const float* factors,
                     const MutableRowsView& rows);

}  // namespace attention

#endif  // ATTENTION_KERNELS_SIMD_TILE_ROWS_H_
