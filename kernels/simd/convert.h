#ifndef ATTENTION_KERNELS_SIMD_CONVERT_H_
#define ATTENTION_KERNELS_SIMD_CONVERT_H_

#include <cstdint>

#include "kernels/memory/data_type.h"

// Numbers between memory of any type and the float32 that we compute with. Narrowing rounds to
// nearest, ties to even; a NaN stays a NaN. Memory may be unaligned. Thread-safe.
namespace attention {

// to[i] = from[i], 0 <= i < count.
void ToFloat32(const void* from, DataType type, int64_t count, float* to);

// to[i] = from[i], 0 <= i < count.
void FromFloat32(const float* from, int64_t count, DataType type, void* to);

// from[i] rounded to bfloat16; as bfloat16 and, for the second, as a float32 of the same value.
void RoundToBfloat16(const float* from, int64_t count, uint16_t* to);
void RoundToBfloat16(const float* from, int64_t count, float* to);

}  // namespace attention

#endif  // ATTENTION_KERNELS_SIMD_CONVERT_H_
