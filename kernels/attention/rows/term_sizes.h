#ifndef ATTENTION_KERNELS_ATTENTION_ROWS_TERM_SIZES_H_
#define ATTENTION_KERNELS_ATTENTION_ROWS_TERM_SIZES_H_

#include <cstdint>

#include "kernels/memory/rows_view.h"

// Adds up the magnitudes |x| of the terms of sums, by which the rounding errors of these sums are
// bounded. Thread-safe for different memory.
namespace attention {

// sizes[d] += sum_j |rows[j][d]|. The sums are float32.
void AddColumnSizes(const RowsView& rows, float* sizes);

// sizes[j] += sum_d |rows[j][d]| * factors[d]. The rows and the sums are float32.
void AddRowSizes(const RowsView& rows, const float* factors, float* sizes);

// A sum of products of at least this magnitude has lost nothing that matters to underflow: n
// products that fall below float32's normal numbers lose at most n * 2^-149.
constexpr float kLeastSafeSum = 0x1p-100f;

// Returns whether all `count` sums are finite and of magnitude kLeastSafeSum or more.
bool AreSafeSums(const float* sums, int64_t count);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ROWS_TERM_SIZES_H_
