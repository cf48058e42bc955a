#ifndef ATTENTION_KERNELS_PRODUCTS_OPERANDS_H_
#define ATTENTION_KERNELS_PRODUCTS_OPERANDS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/memory/data_type.h"
#include "kernels/memory/panel_layout.h"
#include "kernels/threads/executor.h"

// Converts dense rows of numbers into the first operand of products: numbers of type
// format.operand, rounded to bfloat16 if `format` says so. Thread-safe.
namespace attention {

// Returns whether numbers of `type` are operands without conversion.
constexpr bool AreOperands(DataType type, OperandFormat format) {
  return type == format.operand && !format.round_to_bfloat16;
}

// to[i] = x[i] as an operand, 0 <= i < count. `x` may be unaligned; `to` has room for `count`
// operands, and may be `x` if both have the same type. Fails as Executor::ParallelFor.
absl::Status ToOperands(const void* x, DataType type, int64_t count, OperandFormat format, void* to,
                        Executor& executor);

}  // namespace attention

#endif  // ATTENTION_KERNELS_PRODUCTS_OPERANDS_H_
