#include "kernels/attention/rows/score_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/rows/score_rows.cc"
#include <hwy/foreach_target.h>
// Highway wants this order: its other headers must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "kernels/simd/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

void ScaleRow(float* s, int64_t count, float factor) {
  const FloatVec by = hn::Set(FloatTag(), factor);
  ForEachVector(s, count, [&](FloatVec x, int64_t) { return hn::Mul(x, by); });
}

void DivideRow(float* s, int64_t count, float divisor) {
  const FloatVec by = hn::Set(FloatTag(), divisor);
  ForEachVector(s, count, [&](FloatVec x, int64_t) { return hn::Div(x, by); });
}

// tanh(x) within 3 units in the last place: x P(x^2) / Q(x^2), fitted on [0, 9] so that the largest
// relative error is least, 2.1e-8. Beyond 9, tanh is 1 in float32, and so is the result.
HWY_INLINE FloatVec Tanh(FloatVec x) {
  const FloatTag d;
  const FloatVec bound = hn::Set(d, 9.0f);
  // x86's minimum and maximum return their second operand if one of them is NaN, so a NaN is kept.
  x = hn::Max(hn::Neg(bound), hn::Min(bound, x));
  const FloatVec u = hn::Mul(x, x);
  FloatVec p = hn::MulAdd(hn::Set(d, 1.33543185e-08f), u, hn::Set(d, 2.06088289e-05f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.00349557266f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.133810127f));
  p = hn::MulAdd(p, u, hn::Set(d, 0.999999979f));
  FloatVec q = hn::MulAdd(hn::Set(d, 7.7764159e-07f), u, hn::Set(d, 0.000328560953f));
  q = hn::MulAdd(q, u, hn::Set(d, 0.0258769235f));
  q = hn::MulAdd(q, u, hn::Set(d, 0.467143283f));
  q = hn::MulAdd(q, u, hn::Set(d, 1.0f));
  return hn::Div(hn::Mul(x, p), q);
}

// softcap * tanh(x), the tanh within 1e-4 if reciprocals are approximated to 14 bits (AVX-512): x
// P(x^2) / Q(x^2), fitted on [0, 6] so that its largest error is least (1.3e-5).
HWY_INLINE FloatVec ApproximateCappedTanh(FloatVec x, float softcap) {
  const FloatTag d;
  const FloatVec bound = hn::Set(d, 6.0f);
  // x86's minimum and maximum return their second operand if one of them is NaN, so a NaN is kept.
  x = hn::Max(hn::Neg(bound), hn::Min(bound, x));
  const FloatVec u = hn::Mul(x, x);
  FloatVec p =
      hn::MulAdd(hn::Set(d, softcap * 1.51457942e-3f), u, hn::Set(d, softcap * 0.114830785f));
  p = hn::MulAdd(p, u, hn::Set(d, softcap * 0.999992681f));
  FloatVec q = hn::MulAdd(hn::Set(d, 5.62719803e-5f), u, hn::Set(d, 1.76111728e-2f));
  q = hn::MulAdd(q, u, hn::Set(d, 0.448114023f));
  q = hn::MulAdd(q, u, hn::Set(d, 1.0f));
  return hn::Mul(hn::Mul(x, p), hn::ApproximateReciprocal(q));
}

// Loads a vector from number j on, of `count` numbers; lanes beyond the end are 0.
HWY_INLINE FloatVec LoadLanes(const float* from, int64_t j, int64_t count) {
  const int64_t lanes = hn::Lanes(FloatTag());
  return j + lanes <= count ? hn::LoadU(FloatTag(), from + j)
                            : LoadPartAsFloat(from + j, count - j);
}
HWY_INLINE auto LoadFlags(const uint8_t* from, int64_t j, int64_t count) {
  const IntTag di;
  const hn::Rebind<uint8_t, FloatTag> d8;
  if (j + static_cast<int64_t>(hn::Lanes(di)) <= count) {
    return hn::PromoteTo(di, hn::LoadU(d8, from + j));
  }
  HWY_ALIGN uint8_t part[hn::MaxLanes(di)] = {};
  std::memcpy(part, from + j, count - j);
  return hn::PromoteTo(di, hn::Load(d8, part));
}

void ApplyStages(float* s, int64_t count, const ScoreStages& stages) {
  const FloatTag d;
  const IntTag di;
  // These are copies because the compiler cannot know that `s` does not point into `stages`.
  const float softcap = stages.softcap;
  const bool capped = softcap > 0, approximate = stages.approximate, sloped = stages.slope != 0;
  const float* const biases = stages.bias;
  const uint8_t* const visible = stages.visible;
  const int64_t distance = stages.distance;
  const FloatVec cap = hn::Set(d, softcap);
  // The factor is kept finite even if the cap is nearly 0, so that a score of 0 stays 0.
  constexpr float kMost = std::numeric_limits<float>::max();
  const float factor = capped ? stages.scale / softcap : stages.scale;
  const FloatVec scale = hn::Set(d, std::clamp(factor, -kMost, kMost));
  const FloatVec slope = hn::Set(d, stages.slope);
  const FloatVec hidden = hn::Set(d, stages.hidden);
  const FloatVec nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  ForEachVector(s, count, [&](FloatVec x, int64_t j) HWY_ATTR {
    x = hn::Mul(x, scale);
    if (capped) x = approximate ? ApproximateCappedTanh(x, softcap) : hn::Mul(cap, Tanh(x));
    if (sloped) {
      const FloatVec from_key = hn::Iota(d, static_cast<float>(j - distance));
      x = hn::NegMulAdd(slope, hn::Abs(from_key), x);
    }
    if (biases != nullptr) {
      const FloatVec bias = LoadLanes(biases, j, count);
      x = hn::IfThenElse(hn::Eq(bias, nothing), hidden, hn::Add(x, bias));
    }
    if (visible != nullptr) {
      const auto flags = LoadFlags(visible, j, count);
      x = hn::IfThenElse(hn::RebindMask(d, hn::Eq(flags, hn::Zero(di))), hidden, x);
    }
    return x;
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(ScaleRow);
HWY_EXPORT(DivideRow);
HWY_EXPORT(ApplyStages);

void ScaleRow(float* s, int64_t count, float factor) {
  HWY_DYNAMIC_DISPATCH(ScaleRow)(s, count, factor);
}

void DivideRow(float* s, int64_t count, float divisor) {
  HWY_DYNAMIC_DISPATCH(DivideRow)(s, count, divisor);
}

void ApplyStages(float* s, int64_t count, const ScoreStages& stages) {
  HWY_DYNAMIC_DISPATCH(ApplyStages)(s, count, stages);
}

}  // namespace attention
#endif
