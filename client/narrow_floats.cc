#include "client/narrow_floats.h"

#include <bit>
#include <cmath>

namespace attention::client {
namespace {

constexpr uint32_t kMagnitude = 0x7fffffff;  // all but the sign of a binary32
constexpr uint32_t kInfinity = 0x7f800000;

uint32_t Bits(float number) { return std::bit_cast<uint32_t>(number); }

// Drops the last `count` bits of `bits`, rounding to nearest, ties to even.
uint32_t RoundOff(uint32_t bits, int count) {
  const uint32_t below_half = (uint32_t{1} << (count - 1)) - 1;
  return (bits + below_half + (bits >> count & 1)) >> count;
}

}  // namespace

uint16_t ToBfloat16(float number) {
  if (std::isnan(number)) return static_cast<uint16_t>(Bits(number) >> 16 | 0x40);
  return static_cast<uint16_t>(RoundOff(Bits(number), 16));
}

float FromBfloat16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

uint16_t ToFloat16(float number) {
  const uint32_t magnitude = Bits(number) & kMagnitude;
  const uint32_t sign = (Bits(number) & ~kMagnitude) >> 16;
  constexpr uint32_t kTooLarge = 0x477ff000;  // 65520, halfway between the largest number and the
                                              // next power of two
  constexpr uint32_t kNormal = 0x38800000;    // 2^-14, the least normal number
  uint32_t half;
  if (magnitude > kInfinity) {
    half = 0x7e00;
  } else if (magnitude >= kTooLarge) {
    half = 0x7c00;
  } else if (magnitude < kNormal) {
    half = static_cast<uint32_t>(std::nearbyint(std::ldexp(std::bit_cast<float>(magnitude), 24)));
  } else {
    half = RoundOff(magnitude - (uint32_t{127 - 15} << 23), 13);
  }
  return static_cast<uint16_t>(sign | half);
}

float FromFloat16(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f;
  const int fraction = bits & 0x3ff;
  float magnitude;
  if (exponent == 0x1f) {
    magnitude = fraction == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(fraction | 0x400), exponent - 25);
  }
  return std::copysign(magnitude, bits & 0x8000 ? -1.0f : 1.0f);
}

}  // namespace attention::client
