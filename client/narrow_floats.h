#ifndef ATTENTION_CLIENT_NARROW_FLOATS_H_
#define ATTENTION_CLIENT_NARROW_FLOATS_H_

#include <cstdint>

// Converts single numbers to and from the 16-bit formats of DATA_TYPE_BFLOAT16 and
// DATA_TYPE_FLOAT16. Narrowing rounds to nearest, ties to even. Numbers that are too large become
// infinity, and a NaN stays a NaN. Pure functions.
namespace attention::client {

uint16_t ToBfloat16(float number);
float FromBfloat16(uint16_t bits);

uint16_t ToFloat16(float number);
float FromFloat16(uint16_t bits);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_NARROW_FLOATS_H_
