#include "kernels/encoder/layer_norm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/encoder/layer_norm.cc"
#include <hwy/foreach_target.h>
// Highway wants this order: its other headers must follow foreach_target.h.
#include <hwy/highway.h>

#include <cmath>

#include "kernels/simd/typed_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// The sum of f over the row, a vector of x at a time. Lanes beyond the end of the row are not
// counted.
template <typename F>
HWY_INLINE float SumOver(const float* x, int64_t width, F f) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  // There are four sums, so that an addition need not wait for the one before it.
  FloatVec sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t j = 0;
  for (; j + 4 * lanes <= width; j += 4 * lanes) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4; ++i) {
      sums[i] = hn::Add(sums[i], f(hn::LoadU(d, x + j + i * lanes)));
    }
  }
  for (; j < width; j += lanes) {
    const FloatVec inside =
        hn::IfThenElseZero(hn::FirstN(d, width - j), f(LoadColumns(x, j, width)));
    sums[0] = hn::Add(sums[0], inside);
  }
  const FloatVec sum = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// Where the results of a row go; a null pointer means that this form is not wanted.
struct RowResult {
  float* floats = nullptr;
  uint16_t* bfloat16 = nullptr;
  float* rounded = nullptr;

  HWY_INLINE void Store(FloatVec y, int64_t column, int64_t count) const {
    if (floats != nullptr) StoreLanes(y, count, floats + column);
    if (bfloat16 != nullptr) {
      const UintVec bits = hn::ShiftRight<16>(Bfloat16InUpperHalf(y));
      StoreLanes(hn::TruncateTo(HalfwordTag(), bits), count, bfloat16 + column);
    }
    if (rounded != nullptr) {
      const UintVec bits = hn::And(Bfloat16InUpperHalf(y), hn::Set(UintTag(), 0xFFFF0000u));
      StoreLanes(hn::BitCast(FloatTag(), bits), count, rounded + column);
    }
  }
};

HWY_INLINE void NormalizeRow(const float* x, int64_t width, const LayerNorm& norm,
                             const RowResult& to) {
  const FloatTag d;
  const auto count = static_cast<float>(width);
  const float mean = SumOver(x, width, [](FloatVec v) HWY_ATTR { return v; }) / count;
  const FloatVec means = hn::Set(d, mean);
  const float variance = SumOver(x, width,
                                 [&](FloatVec v) HWY_ATTR {
                                   const FloatVec distance = hn::Sub(v, means);
                                   return hn::Mul(distance, distance);
                                 }) /
                         count;
  const FloatVec factor = hn::Set(d, 1.0f / std::sqrt(variance + norm.epsilon));
  for (int64_t j = 0; j < width; j += hn::Lanes(d)) {
    const FloatVec y = hn::Mul(hn::Sub(LoadColumns(x, j, width), means), factor);
    to.Store(hn::MulAdd(y, LoadColumns(norm.gamma, j, width), LoadColumns(norm.beta, j, width)), j,
             width - j);
  }
}

void NormalizeRows(const float* x, int64_t rows, int64_t width, const LayerNorm& norm, float* y,
                   OperandFormat format, void* operands) {
  auto* const bfloat16 =
      format.operand == DataType::kBfloat16 ? static_cast<uint16_t*>(operands) : nullptr;
  auto* const rounded = format.round_to_bfloat16 ? static_cast<float*>(operands) : nullptr;
  const auto row = [&](auto* rows_of, int64_t i) {
    return rows_of == nullptr ? nullptr : rows_of + i * width;
  };
  for (int64_t i = 0; i < rows; ++i) {
    NormalizeRow(x + i * width, width, norm, {row(y, i), row(bfloat16, i), row(rounded, i)});
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(NormalizeRows);

void NormalizeRows(const float* x, int64_t rows, int64_t width, const LayerNorm& norm, float* y,
                   OperandFormat format, void* operands) {
  HWY_DYNAMIC_DISPATCH(NormalizeRows)(x, rows, width, norm, y, format, operands);
}

}  // namespace attention
#endif
