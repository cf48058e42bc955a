#ifndef ATTENTION_KERNELS_ATTENTION_ROWS_TERM_SIZES_H_
#define ATTENTION_KERNELS_ATTENTION_ROWS_TERM_SIZES_H_

#include <cstdint>

#include "kernels/memory/rows_view.h"

// Sizes |x| of the terms of sums, by which their rounding errors are judged. Thread-safe for
// different memory.
namespace attention {

// sizes[d] += sum_j |rows[j][d]|, added up in float32.
void AddColumnSizes(const RowsView& rows, float* sizes);

// sizes[j] += sum_d |rows[j][d]| * factors[d], for rows of float32, added up in float32.
void AddRowSizes(const RowsView& rows, const float* factors, float* sizes);

// The least size of a sum of products that has lost nothing that counts to numbers below float32's
// normal ones: n products lose n * 2^-149 at the most.
constexpr float kLeastSafeSum = 0x1p-100f;

// Whether all `count` sums are finite and of size kLeastSafeSum or more.
bool AreSafeSums(const float* sums, int64_t count);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ROWS_TERM_SIZES_H_
