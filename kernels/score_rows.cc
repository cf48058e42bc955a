#include "kernels/score_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/score_rows.cc"
#include <hwy/foreach_target.h>
// Highway's own order: its headers follow foreach_target.h.
#include <hwy/highway.h>

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

void SoftcapRow(float* s, int64_t count, float softcap) {
  const FloatVec cap = hn::Set(FloatTag(), softcap);
  ForEachVector(s, count, [&](FloatVec x, int64_t) { return hn::Mul(cap, Tanh(hn::Div(x, cap))); });
}

void AddAlibiRow(float* s, int64_t count, float slope, int64_t distance) {
  const FloatTag d;
  const FloatVec by = hn::Set(d, slope);
  ForEachVector(s, count, [&](FloatVec x, int64_t j) {
    const FloatVec from_key = hn::Iota(d, static_cast<float>(j - distance));
    return hn::NegMulAdd(by, hn::Abs(from_key), x);
  });
}

void AddBiasRow(float* s, int64_t count, const float* bias, float hidden) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  const FloatVec nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  const FloatVec hide = hn::Set(d, hidden);
  ForEachVector(s, count, [&](FloatVec x, int64_t j) {
    const FloatVec b =
        j + lanes <= count ? hn::LoadU(d, bias + j) : LoadPartAsFloat(bias + j, count - j);
    return hn::IfThenElse(hn::Eq(b, nothing), hide, hn::Add(x, b));
  });
}

void HideRow(float* s, int64_t count, const uint8_t* visible, float hidden) {
  const FloatTag d;
  const IntTag di;
  const hn::Rebind<uint8_t, FloatTag> d8;
  const int64_t lanes = hn::Lanes(d);
  const FloatVec hide = hn::Set(d, hidden);
  ForEachVector(s, count, [&](FloatVec x, int64_t j) {
    HWY_ALIGN uint8_t part[hn::MaxLanes(d)] = {};
    const uint8_t* from = visible + j;
    if (j + lanes > count) {
      std::memcpy(part, from, count - j);
      from = part;
    }
    const auto flags = hn::PromoteTo(di, hn::LoadU(d8, from));
    return hn::IfThenElse(hn::RebindMask(d, hn::Eq(flags, hn::Zero(di))), hide, x);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(ScaleRow);
HWY_EXPORT(DivideRow);
HWY_EXPORT(SoftcapRow);
HWY_EXPORT(AddAlibiRow);
HWY_EXPORT(AddBiasRow);
HWY_EXPORT(HideRow);

void ScaleRow(float* s, int64_t count, float factor) {
  HWY_DYNAMIC_DISPATCH(ScaleRow)(s, count, factor);
}

void DivideRow(float* s, int64_t count, float divisor) {
  HWY_DYNAMIC_DISPATCH(DivideRow)(s, count, divisor);
}

void SoftcapRow(float* s, int64_t count, float softcap) {
  HWY_DYNAMIC_DISPATCH(SoftcapRow)(s, count, softcap);
}

void AddAlibiRow(float* s, int64_t count, float slope, int64_t distance) {
  HWY_DYNAMIC_DISPATCH(AddAlibiRow)(s, count, slope, distance);
}

void AddBiasRow(float* s, int64_t count, const float* bias, float hidden) {
  HWY_DYNAMIC_DISPATCH(AddBiasRow)(s, count, bias, hidden);
}

void HideRow(float* s, int64_t count, const uint8_t* visible, float hidden) {
  HWY_DYNAMIC_DISPATCH(HideRow)(s, count, visible, hidden);
}

}  // namespace attention
#endif
