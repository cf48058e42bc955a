#ifndef ATTENTION_KERNELS_PRODUCTS_TRIAL_OPERANDS_H_
#define ATTENTION_KERNELS_PRODUCTS_TRIAL_OPERANDS_H_

#include <cstdint>

#include "kernels/memory/aligned_buffer.h"
#include "kernels/memory/data_type.h"
#include "kernels/products/packed_weight.h"

namespace attention {

// Operands of a linear layer, Y = X W + b, whose results differ if two ways of computing add up in
// different orders. The numbers have many magnitudes, and the bias is the negative of the exact
// sums, so that the results are nothing but rounding errors. Therefore results that are rounded to
// bfloat16 show the difference as well.
class TrialOperands {
 public:
  // X has `rows` equal rows of `in` numbers, W has `out` columns. All numbers of X and W are exact
  // in the type `operand`.
  TrialOperands(int64_t rows, int64_t in, int64_t out, DataType operand);

  // [rows, in], of type `operand`.
  const void* x() const { return x_.data(); }
  // W [in, out], float32, and the bias [out]. They live as long as this object.
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
