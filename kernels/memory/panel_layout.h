#ifndef ATTENTION_KERNELS_MEMORY_PANEL_LAYOUT_H_
#define ATTENTION_KERNELS_MEMORY_PANEL_LAYOUT_H_

#include <cstdint>

#include "kernels/memory/data_type.h"
#include "kernels/memory/tiles.h"

// The second operand of a product, B [k, n], as oneDNN's AVX-512 kernels want it: cut into panels
// of 64 columns, each of which a product walks through from front to back (oneDNN's layouts
// BA16a64b and BA16a64b2a).
//
//   float32    panel [k rounded up to 16][64]
//   bfloat16   panel [k rounded up to 32, in pairs][64][2]: two rows that a dot-product instruction
//              multiplies at once lie side by side
//
// The padding of k and n is 0. A panel begins on a cache line.
namespace attention {

constexpr int64_t kPanelWidth = 64;  // columns

// k rounded up to whole units of padding. `operand` is kFloat32 or kBfloat16 here and in the
// functions below.
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

// How numbers of any type become operands.
struct OperandFormat {
  DataType operand = DataType::kFloat32;
  bool round_to_bfloat16 = false;  // the operand is kFloat32, and holds numbers rounded to bfloat16
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_PANEL_LAYOUT_H_
