#ifndef ATTENTION_KERNELS_PRODUCTS_FEW_ROWS_PRODUCT_H_
#define ATTENTION_KERNELS_PRODUCTS_FEW_ROWS_PRODUCT_H_

#include <cstdint>

#include "kernels/memory/data_type.h"

// The product of a few rows with one packed panel (panel_layout.h), for AVX-512. With so few rows
// computing takes about as long as reading the panel from memory, so both must happen at the same
// time: the panel is read cache line by cache line, each line is prefetched long before it is used,
// and up to 6 rows by 64 columns of sums stay in registers. oneDNN reads and computes one after the
// other, which is why this product exists.
//
// Products are added up along the depth, in bfloat16 two at a time. The depth is cut into runs;
// each run is added up by itself, then the sums of the runs. With the run length of oneDNN, which
// is 512 or 1024 depending on the depth (LinearOp finds it by trial), the bits are those of
// OnednnMatmul. Thread-safe for different memory.
namespace attention {

constexpr int64_t kFewRows = 16;

// Returns whether this CPU has the instructions and oneDNN may use them. The functions below need
// them.
bool HasFewRowsProduct();

// sums[i, j] = sum over k of x[i, k] * B[k, j], for the 64 columns of a panel.
//
//   x       [rows, depth] of `operand`, row-major without gaps, any alignment; rows <= kFewRows
//   run     of the depth that is added up by itself, even
//   panel   of B [depth, 64], packed from `operand`
//   sums    [rows, 64], on a cache line
void MultiplyFewRows(const void* x, int64_t rows, int64_t depth, DataType operand, int64_t run,
                     const void* panel, float* sums);

// to[i] = x[i] rounded to bfloat16 as oneDNN does it: subnormal numbers become 0. `count` is a
// multiple of 16. Only for CPUs whose operands are bfloat16 (OnednnMatmul::OperandsFor).
void RoundSumsToBfloat16(const float* x, int64_t count, uint16_t* to);

}  // namespace attention

#endif  // ATTENTION_KERNELS_PRODUCTS_FEW_ROWS_PRODUCT_H_
