#include "kernels/products/trial_operands.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/simd/convert.h"

namespace attention {

TrialOperands::TrialOperands(int64_t rows, int64_t in, int64_t out, DataType operand)
    : in_(in), out_(out), x_(rows * in), weight_(in * out), bias_(out) {
  Fill(operand, x_, in);
  Fill(operand, weight_, in * out);
  for (int64_t j = 0; j < out; ++j) {
    double sum = 0;
    for (int64_t k = 0; k < in; ++k) sum += double{x_.data()[k]} * weight_.data()[k * out + j];
    bias_.data()[j] = -static_cast<float>(sum);
  }
  for (int64_t i = 1; i < rows; ++i) std::copy_n(x_.data(), in, x_.data() + i * in);
  if (operand == DataType::kBfloat16) {
    RoundToBfloat16(x_.data(), rows * in, reinterpret_cast<uint16_t*>(x_.data()));
  }
}

void TrialOperands::Fill(DataType operand, AlignedBuffer& numbers, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    state_ = state_ * 1664525 + 1013904223;
    const float fraction = static_cast<float>(state_ >> 8) * 0x1p-23f - 1;
    float& number = numbers.data()[i];
    number = std::ldexp(fraction, -static_cast<int>(state_ >> 5 & 7));
    if (operand != DataType::kBfloat16) continue;
    uint32_t bits = 0;
    std::memcpy(&bits, &number, sizeof(bits));
    bits &= 0xffff0000u;
    std::memcpy(&number, &bits, sizeof(bits));
  }
}

}  // namespace attention
