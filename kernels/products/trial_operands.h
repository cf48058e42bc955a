#ifndef ATTENTION_KERNELS_PRODUCTS_TRIAL_OPERANDS_H_
#define ATTENTION_KERNELS_PRODUCTS_TRIAL_OPERANDS_H_

#include <cstdint>

#include "kernels/memory/aligned_buffer.h"
#include "kernels/memory/data_type.h"
#include "kernels/products/packed_weight.h"

namespace attention {

// Operands of a linear layer, Y = X W + b, whose results tell one order of adding up from another:
// numbers of many sizes, and a bias that takes away the exact sums, so that what is left are the
// errors of rounding, of which results in bfloat16 keep as much as others.
class TrialOperands {
 public:
  // `rows` rows of X, all alike, of `in` numbers, which `operand` holds exactly; `out` columns.
  TrialOperands(int64_t rows, int64_t in, int64_t out, DataType operand);

  // [rows, in], of `operand`.
  const void* x() const { return x_.data(); }
  // [in, out], of float32, and the bias. As long as this lives.
  Linear linear() const {
    return {.weight = {.data = weight_.data(), .in = in_, .out = out_}, .bias = bias_.data()};
  }

 private:
  void Fill(DataType operand, AlignedBuffer& numbers, int64_t count);

  const int64_t in_, out_;
  uint32_t state_ = 1;
  AlignedBuffer x_, weight_, bias_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_PRODUCTS_TRIAL_OPERANDS_H_
