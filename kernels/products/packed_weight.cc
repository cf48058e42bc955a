#include "kernels/products/packed_weight.h"

#include <algorithm>

#include "kernels/simd/packed_panels.h"

namespace attention {

void PackWeightPanel(const WeightView& weight, int64_t panel, OperandFormat format, void* to) {
  const int64_t column = panel * kPanelWidth;
  const int64_t width = std::min(kPanelWidth, weight.out - column);
  const int64_t first = weight.transposed ? column * weight.in : column;
  const auto* const data = static_cast<const char*>(weight.data) + first * ByteSize(weight.type);
  if (weight.transposed) {
    PackTransposedPanel({data, weight.type, weight.in, width, weight.in}, format, to);
  } else {
    PackRows({data, weight.type, weight.out, weight.in, width}, format, RowPairs::kNeighbours, 0,
             PaddedDepth(weight.in, format.operand), PackedPanelBytes(weight.in, format.operand),
             to);
  }
}

}  // namespace attention
