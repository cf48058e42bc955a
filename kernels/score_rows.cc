#include "kernels/score_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/score_rows.cc"
#include <hwy/foreach_target.h>
// Highway's own order: its headers follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "kernels/vector_math-inl.h"

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

// tanh(x) = E / (E + 2) with E = e^2x - 1, which keeps the precision of small x. E = 2^n (e^r - 1)
// + (2^n - 1); e^r - 1 by a polynomial of degree 6 within 1.4e-8 relative. Beyond |x| = 9.1 the
// result is 1 in float32.
HWY_INLINE FloatVec Tanh(FloatVec x) {
  const FloatTag d;
  const FloatVec magic = hn::Set(d, kRoundMagic), one = hn::Set(d, 1.0f);
  const FloatVec bound = hn::Set(d, 18.2f);
  const FloatVec y = hn::Min(bound, hn::Add(hn::Abs(x), hn::Abs(x)));
  const FloatVec rounded = hn::MulAdd(y, hn::Set(d, 1.44269504088896341f), magic);
  const FloatVec n = hn::Sub(rounded, magic);
  FloatVec r = hn::NegMulAdd(n, hn::Set(d, 0.693145751953125f), y);
  r = hn::NegMulAdd(n, hn::Set(d, 1.428606765330187e-6f), r);
  FloatVec p = hn::MulAdd(hn::Set(d, 1.388252126e-3f), r, hn::Set(d, 8.366520591e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.166719986e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.666654362e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.999999815e-1f));
  p = hn::MulAdd(hn::Mul(p, r), r, r);
  const FloatVec power = ScaleByPowerOf2(one, rounded);
  const FloatVec e = hn::MulAdd(power, p, hn::Sub(power, one));
  const FloatVec result = hn::CopySign(hn::Div(e, hn::Add(e, hn::Set(d, 2.0f))), x);
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

// tanh(x) within 2e-5: x P(x^2) / Q(x^2), fitted on [0, 6] to be least wrong at its worst, with the
// quotient by Newton's method. `cap` times that.
HWY_INLINE FloatVec RoughCappedTanh(FloatVec x, FloatVec cap) {
  const FloatTag d;
  const FloatVec bound = hn::Set(d, 6.0f);
  // x86's minimum and maximum are their second operand where one is NaN.
  x = hn::Max(hn::Neg(bound), hn::Min(bound, x));
  const FloatVec u = hn::Mul(x, x);
  FloatVec p = hn::MulAdd(hn::Set(d, 1.51458e-3f), u, hn::Set(d, 1.14830790e-1f));
  p = hn::MulAdd(p, u, hn::Set(d, 9.99992670e-1f));
  FloatVec q = hn::MulAdd(hn::Set(d, 5.62719803e-5f), u, hn::Set(d, 1.76111728e-2f));
  q = hn::MulAdd(q, u, hn::Set(d, 4.48114023e-1f));
  q = hn::MulAdd(q, u, hn::Set(d, 1.0f));
  const FloatVec inverse = hn::ApproximateReciprocal(q);
  const FloatVec better = hn::Mul(inverse, hn::NegMulAdd(q, inverse, hn::Set(d, 2.0f)));
  return hn::Mul(hn::Mul(hn::Mul(x, cap), p), better);
}

// Lanes from j on of `count` numbers, those beyond the end 0.
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
  const bool capped = stages.softcap > 0, rough = stages.rough;
  const FloatVec cap = hn::Set(d, stages.softcap);
  // Finite also where the cap is next to nothing, so that 0 stays 0.
  constexpr float kMost = std::numeric_limits<float>::max();
  const float factor = capped ? stages.scale / stages.softcap : stages.scale;
  const FloatVec scale = hn::Set(d, std::clamp(factor, -kMost, kMost));
  const FloatVec slope = hn::Set(d, stages.slope);
  const FloatVec hidden = hn::Set(d, stages.hidden);
  const FloatVec nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  ForEachVector(s, count, [&](FloatVec x, int64_t j) HWY_ATTR {
    x = hn::Mul(x, scale);
    if (capped) x = rough ? RoughCappedTanh(x, cap) : hn::Mul(cap, Tanh(x));
    if (stages.slope != 0) {
      const FloatVec from_key = hn::Iota(d, static_cast<float>(j - stages.distance));
      x = hn::NegMulAdd(slope, hn::Abs(from_key), x);
    }
    if (stages.bias != nullptr) {
      const FloatVec bias = LoadLanes(stages.bias, j, count);
      x = hn::IfThenElse(hn::Eq(bias, nothing), hidden, hn::Add(x, bias));
    }
    if (stages.visible != nullptr) {
      const auto flags = LoadFlags(stages.visible, j, count);
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
