#ifndef ATTENTION_KERNELS_SIMD_CONVERT_H_
#define ATTENTION_KERNELS_SIMD_CONVERT_H_

#include <cstdint>

#include "kernels/memory/data_type.h"

// Conversion of numbers in memory of any type to float32, in which we compute, and back. Narrowing
// rounds to nearest, ties to even; a NaN stays a NaN. Memory may be unaligned. Thread-safe.
namespace attention {

// to[i] = from[i], 0 <= i < count.
void ToFloat32(const void* from, DataType type, int64_t count, float* to);

// to[i] = from[i], 0 <= i < count.
void FromFloat32(const float* from, int64_t count, DataType type, void* to);

// to[i] = from[i] rounded to bfloat16. The first function stores bfloat16 numbers, the second
// float32 numbers of the same value; there `to` may be `from`.
void RoundToBfloat16(const float* from, int64_t count, uint16_t* to);
void RoundToBfloat16(const float* from, int64_t count, float* to);

}  // namespace attention

#endif  // ATTENTION_KERNELS_SIMD_CONVERT_H_
