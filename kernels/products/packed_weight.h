#ifndef ATTENTION_KERNELS_PRODUCTS_PACKED_WEIGHT_H_
#define ATTENTION_KERNELS_PRODUCTS_PACKED_WEIGHT_H_

#include <cstdint>

#include "kernels/memory/data_type.h"
#include "kernels/memory/panel_layout.h"

// The weights of linear layers, as they come and packed for products.
namespace attention {

// The weight W of a linear layer, dense, in the caller's memory, which may be unaligned.
struct WeightView {
  const void* data = nullptr;
  DataType type = DataType::kFloat32;
  int64_t in = 0;
  int64_t out = 0;
  bool transposed = false;  // [out, in], as PyTorch stores it, instead of [in, out]
};

// A linear layer, Y = X W + b. Does not own its memory.
struct Linear {
  WeightView weight;             // [in, out]
  const void* packed = nullptr;  // W's panels (panel_layout.h), one after another; if set,
                                 // weight.data may be null
  const float* bias = nullptr;   // [out], or null
};

// The number of panels of a weight with `out` columns.
constexpr int64_t PanelCount(int64_t out) { return CeilDiv(out, kPanelWidth); }

// Packs columns [panel * kPanelWidth, + kPanelWidth) of W into `to`, a panel aligned to 64 bytes.
// Thread-safe for different memory.
void PackWeightPanel(const WeightView& weight, int64_t panel, OperandFormat format, void* to);

}  // namespace attention

#endif  // ATTENTION_KERNELS_PRODUCTS_PACKED_WEIGHT_H_
