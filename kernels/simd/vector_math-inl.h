// Vector mathematics that the Highway kernels share. This file is included once for each
// instruction set, so its include guard follows Highway's convention.
#if defined(ATTENTION_KERNELS_SIMD_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTENTION_KERNELS_SIMD_VECTOR_MATH_INL_H_
#undef ATTENTION_KERNELS_SIMD_VECTOR_MATH_INL_H_
#else
#define ATTENTION_KERNELS_SIMD_VECTOR_MATH_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
using IntTag = hn::RebindToSigned<FloatTag>;
using UintTag = hn::RebindToUnsigned<FloatTag>;
using UintVec = hn::Vec<UintTag>;
using HalfwordTag = hn::Rebind<uint16_t, FloatTag>;  // as many lanes, each 16 bits

// e^r for |r| <= ln 2 / 2, by a polynomial of degree 6. It is fitted so that its largest relative
// error is least: 3.7e-9, a sixteenth of half a unit in float32's last place.
HWY_INLINE FloatVec ExpOfRest(FloatVec r) {
  const FloatTag d;
  FloatVec p = hn::MulAdd(hn::Set(d, 1.386378060e-3f), r, hn::Set(d, 8.367482469e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.166723782e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.666653401e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return hn::MulAdd(p, r, hn::Set(d, 1.0f));
}

// x - n ln 2 for an integer n. ln 2 is split into two parts, of which the first has so few bits
// that its product with n is exact (Cody and Waite 1980).
HWY_INLINE FloatVec LessMultipleOfLn2(FloatVec x, FloatVec n) {
  const FloatTag d;
  const FloatVec r = hn::NegMulAdd(n, hn::Set(d, 0.693145751953125f), x);
  return hn::NegMulAdd(n, hn::Set(d, 1.428606765330187e-6f), r);
}

// Exp and FastExp2:
//
//   Exp(x) = e^x within 1 unit in the last place, for x <= 88; 0 below -87, NaN for NaN
//   FastExp2(y) = 2^y within 3e-6 relative, which rounding to bfloat16 (4e-3) hides, for y <= 127;
//   0 below -127, NaN for NaN
//
// A NaN that they return has 0 in its lower bits, so that rounding it to bfloat16 by adding half a
// unit (ties up) cannot turn it into a number.

constexpr float kLog2E = 1.44269504088896341f;

#if HWY_TARGET == HWY_AVX3

// This version uses AVX-512's own instructions for exponents.

// p * 2^floor(n); 0 where x is below `least`, NaN where p is NaN.
HWY_INLINE FloatVec ScaleByPowerOf2(FloatVec p, FloatVec n, FloatVec x, float least) {
  const __mmask16 kept = _mm512_cmp_ps_mask(x.raw, _mm512_set1_ps(least), _CMP_NLT_UQ);
  return FloatVec{_mm512_maskz_scalef_ps(kept, p.raw, n.raw)};
}

// Replaces every NaN by the NaN whose lower bits are 0. Other x must be at least 0.
HWY_INLINE FloatVec WithPlainNan(FloatVec x) {
  const UintTag du;
  return hn::BitCast(FloatTag(), hn::Min(hn::BitCast(du, x), hn::Set(du, 0x7FC00000)));
}

HWY_INLINE FloatVec Exp(FloatVec x) {
  const FloatVec n = hn::Round(hn::Mul(x, hn::Set(FloatTag(), kLog2E)));
  return WithPlainNan(ScaleByPowerOf2(ExpOfRest(LessMultipleOfLn2(x, n)), n, x, -87.0f));
}

// 2^r of the fraction r of y, 0 <= r < 1, is a polynomial of degree 4, fitted so that its largest
// error is least.
HWY_INLINE FloatVec FastExp2(FloatVec y) {
  const FloatTag d;
  const FloatVec r{_mm512_reduce_ps(y.raw, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
  FloatVec p = hn::MulAdd(hn::Set(d, 1.3534168e-2f), r, hn::Set(d, 5.201146e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 2.4144275e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 6.9300383e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0000026f));
  return WithPlainNan(ScaleByPowerOf2(p, y, y, -126.0f));
}

#else

// floor(x + 1/2) as a float with the same integer in the low bits of its representation, for
// |x| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction.
constexpr float kRoundMagic = 12582912.0f;

// 2^n * p, where `rounded` = n + kRoundMagic holds n in its low bits: adds n to the exponent of p.
// The exponent of the result must be in range.
HWY_INLINE FloatVec ScaleByPowerOf2(FloatVec p, FloatVec rounded) {
  const FloatTag d;
  const IntTag di;
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, rounded));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
}

// Replaces every NaN by the NaN whose lower bits are 0, to which ScaleByPowerOf2 then adds 0.
HWY_INLINE FloatVec WithPlainNan(FloatVec x) {
  const FloatVec nan = hn::BitCast(FloatTag(), hn::Set(UintTag(), 0x7FC00000));
  return hn::IfThenElse(hn::IsNaN(x), nan, x);
}

HWY_INLINE FloatVec Exp(FloatVec x) {
  const FloatTag d;
  x = WithPlainNan(x);
  const FloatVec magic = hn::Set(d, kRoundMagic);
  const FloatVec rounded = hn::MulAdd(x, hn::Set(d, kLog2E), magic);
  const FloatVec p = ExpOfRest(LessMultipleOfLn2(x, hn::Sub(rounded, magic)));
  // A comparison with NaN is false, so that a NaN is kept.
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.0f)), ScaleByPowerOf2(p, rounded));
}

// 2^r of the fraction r of y, |r| <= 1/2, is a polynomial of degree 4, fitted so that its largest
// error is least. Where y is exactly -127, p is 1 and the exponent becomes 0, so that clamping y
// there gives an exact 0.
HWY_INLINE FloatVec FastExp2(FloatVec y) {
  const FloatTag d;
  const FloatVec magic = hn::Set(d, kRoundMagic);
  // x86's maximum returns its second operand if one of them is NaN.
  y = WithPlainNan(hn::Max(hn::Set(d, -127.0f), y));
  const FloatVec rounded = hn::Add(y, magic);
  const FloatVec r = hn::Sub(y, hn::Sub(rounded, magic));
  FloatVec p = hn::MulAdd(hn::Set(d, 9.582852464e-3f), r, hn::Set(d, 5.590642551e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 2.402409863e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 6.931241933e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return ScaleByPowerOf2(p, rounded);
}

#endif

// Rounds x to bfloat16, ties to even. The upper half of each lane holds the result, the lower half
// is undefined.
HWY_INLINE UintVec Bfloat16InUpperHalf(FloatVec x) {
  const UintTag du;
  const UintVec bits = hn::BitCast(du, x);
  const UintVec odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const UintVec rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFF)));
  // Adding to the bits of a NaN could turn it into an infinity or a number, so a NaN becomes a
  // quiet NaN instead.
  const UintVec quiet = hn::Or(bits, hn::Set(du, 0x00400000));
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(x)), quiet, rounded);
}

// Loads lanes of type T, stored in `from` without alignment, as float32.
HWY_INLINE FloatVec LoadAsFloat(const float* from) { return hn::LoadU(FloatTag(), from); }
// Highway's own load of 16-bit floats reads a member of its type, which has to be aligned; so these
// two load plain integers.
HWY_INLINE FloatVec LoadAsFloat(const hwy::bfloat16_t* from) {
  const auto halves = hn::LoadU(HalfwordTag(), reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(FloatTag(), hn::ShiftLeft<16>(hn::PromoteTo(UintTag(), halves)));
}
HWY_INLINE FloatVec LoadAsFloat(const hwy::float16_t* from) {
  const auto halves = hn::LoadU(HalfwordTag(), reinterpret_cast<const uint16_t*>(from));
  return hn::PromoteTo(FloatTag(), hn::BitCast(hn::Rebind<hwy::float16_t, FloatTag>(), halves));
}
HWY_INLINE FloatVec LoadAsFloat(const double* from) {
  const hn::Repartition<double, FloatTag> dd;
  const hn::Half<FloatTag> dh;
  return hn::Combine(FloatTag(), hn::DemoteTo(dh, hn::LoadU(dd, from + hn::Lanes(dd))),
                     hn::DemoteTo(dh, hn::LoadU(dd, from)));
}

// The same for the first `count` lanes, 0 <= count < Lanes. Memory after them is not read, and the
// other lanes are 0.
template <typename T>
HWY_INLINE FloatVec LoadPartAsFloat(const T* from, int64_t count) {
  HWY_ALIGN T lanes[hn::MaxLanes(FloatTag())] = {};
  constexpr int64_t kMost = hn::MaxLanes(FloatTag());
  std::memcpy(lanes, from, std::min(count, kMost) * sizeof(T));
  return LoadAsFloat(lanes);
}

// The sum of the vector's blocks of four lanes.
template <class D>
HWY_INLINE auto SumOfBlocks([[maybe_unused]] D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return SumOfBlocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

// The sums of the lanes of each of four vectors.
HWY_INLINE auto SumsOfLanes(FloatVec a, FloatVec b, FloatVec c, FloatVec e) {
  const FloatTag d;
  const hn::Repartition<double, FloatTag> dd;
  const auto pairs = [&](FloatVec x, FloatVec y) HWY_ATTR {  // [x02, y02, x13, y13] in each block
    return hn::BitCast(dd, hn::Add(hn::InterleaveLower(d, x, y), hn::InterleaveUpper(d, x, y)));
  };
  const auto ab = pairs(a, b), ce = pairs(c, e);
  return SumOfBlocks(d, hn::Add(hn::BitCast(d, hn::InterleaveLower(dd, ab, ce)),
                                hn::BitCast(d, hn::InterleaveUpper(dd, ab, ce))));
}

// s[j] = f(s[j], j), a vector at a time: f takes the vector of s[j], s[j + 1] and so on, and j.
template <typename F>
HWY_INLINE void ForEachVector(float* s, int64_t count, F f) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) hn::StoreU(f(hn::LoadU(d, s + j), j), d, s + j);
  if (j == count) return;
  HWY_ALIGN float part[hn::MaxLanes(d)];
  hn::Store(f(LoadPartAsFloat(s + j, count - j), j), d, part);
  std::memcpy(s + j, part, (count - j) * sizeof(float));
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#endif  // ATTENTION_KERNELS_SIMD_VECTOR_MATH_INL_H_
