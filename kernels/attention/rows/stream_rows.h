#ifndef ATTENTION_KERNELS_ATTENTION_ROWS_STREAM_ROWS_H_
#define ATTENTION_KERNELS_ATTENTION_ROWS_STREAM_ROWS_H_

#include <cstdint>

#include "kernels/memory/rows_view.h"

// The two products of attention for so few query rows that packing keys and values would cost more
// than it saves: both are read once, in place, at the speed of memory. The numbers are widened to
// float32 and multiplied in float32. Thread-safe for different memory.
namespace attention {

// The most query rows for which this is faster than packing.
constexpr int64_t kMostStreamedRows = 8;

// scores[r * score_stride + j] = q[r] . keys[j], for `rows` queries that are q_stride numbers
// apart. Each has keys.width numbers, and zeros after them up to a multiple of 16.
void DotRows(const float* q, int64_t rows, int64_t q_stride, const RowsView& keys, float* scores,
             int64_t score_stride);

// sums[r * sum_stride + d] += sum_j weights[r * weight_stride + j] * values[j][d]. A row of sums
// has room for values.width rounded up to a multiple of 16.
void AddWeightedRows(const float* weights, int64_t rows, int64_t weight_stride,
                     const RowsView& values, float* sums, int64_t sum_stride);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ROWS_STREAM_ROWS_H_
