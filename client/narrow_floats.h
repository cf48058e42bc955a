#ifndef ATTENTION_CLIENT_NARROW_FLOATS_H_
#define ATTENTION_CLIENT_NARROW_FLOATS_H_

#include <cstdint>

// Single numbers in and out of the 16-bit formats of DATA_TYPE_BFLOAT16 and DATA_TYPE_FLOAT16.
// Narrowing rounds to nearest, ties to even; beyond the largest number it gives infinity, and a NaN
// stays a NaN. Pure functions.
namespace attention::client {

uint16_t ToBfloat16(float number);
float FromBfloat16(uint16_t bits);

uint16_t ToFloat16(float number);
float FromFloat16(uint16_t bits);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_NARROW_FLOATS_H_
