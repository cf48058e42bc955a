#include "kernels/attention/rows/softmax_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/rows/softmax_rows.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
// Highway wants this order: its other headers must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/simd/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// sum[i] += lane i of x, in float64.
HWY_INLINE void AddLanes(FloatVec x, double* sum) {
  const hn::Repartition<double, FloatTag> dd;
  const hn::Half<FloatTag> half;
  const auto both =
      hn::Add(hn::PromoteTo(dd, hn::LowerHalf(half, x)), hn::PromoteTo(dd, hn::UpperHalf(half, x)));
  hn::Store(hn::Add(hn::Load(dd, sum), both), dd, sum);
}

void AddToSum(const float* s, int64_t count, RowState& state) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  FloatVec sizes = hn::Zero(d);
  const auto add = [&](FloatVec x) HWY_ATTR {
    AddLanes(x, state.sum);
    sizes = hn::Add(sizes, hn::Abs(x));
  };
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) add(hn::LoadU(d, s + j));
  if (j < count) add(LoadPartAsFloat(s + j, count - j));
  state.sizes += hn::GetLane(hn::SumOfLanes(d, sizes));
}

// e^x within 1e-11 relative, for x <= 700; 0 below -700, NaN for NaN. It is computed as Exp is,
// with Taylor's polynomial of degree 9, whose remainder is (ln 2 / 2)^10 / 10!.
template <class V>
HWY_INLINE V ExpOfDoubles(V x) {
  const hn::DFromV<V> d;
  const hn::RebindToSigned<decltype(d)> di;
  const V magic = hn::Set(d, 6755399441055744.0);  // 1.5 * 2^52
  const V rounded = hn::MulAdd(x, hn::Set(d, 1.4426950408889634), magic);
  const V n = hn::Sub(rounded, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.6931471803691238), x);
  r = hn::NegMulAdd(n, hn::Set(d, 1.9082149292705877e-10), r);
  V p = hn::Set(d, 1.0 / 362880);
  for (const double factorial : {40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0}) {
    p = hn::MulAdd(p, r, hn::Set(d, 1.0 / factorial));
  }
  const auto exponent = hn::ShiftLeft<52>(hn::BitCast(di, rounded));
  const V scaled = hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -700.0)), scaled);
}

void SoftmaxRow(float* s, int64_t count, float scale, RowState& state) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const hn::Repartition<double, FloatTag> d;
  const hn::Half<FloatTag> half;
  const int64_t lanes = hn::Lanes(d);
  const FloatVec by = hn::Set(FloatTag(), scale);
  ForEachVector(s, count, [&](FloatVec x, int64_t) { return hn::Mul(x, by); });
  float max = kNone;
  for (int64_t j = 0; j < count; ++j) max = s[j] > max ? s[j] : max;
  const bool unshifted = max == kNone || std::abs(max) <= RowState::kUnshiftedMax;
  state.shift = unshifted ? 0.0f : max;
  auto sums = hn::Zero(d);
  for (int64_t j = 0; j < count; j += lanes) {
    const auto x = hn::PromoteTo(d, hn::LoadU(half, s + j));
    const auto exact = ExpOfDoubles(hn::Sub(x, hn::Set(d, static_cast<double>(state.shift))));
    const auto rounded = hn::DemoteTo(half, exact);
    sums = hn::Add(sums, hn::PromoteTo(d, rounded));
    hn::StoreU(rounded, half, s + j);
  }
  state.sum[0] = hn::GetLane(hn::SumOfLanes(d, sums));
  // A row that sees no key sums to 0 and keeps its zeros. A row that sees keys whose scores are all
  // -inf does so too; its weights become NaN later, when the tile divides them by their sum of 0.
  if (state.sum[0] == 0) return;
  const FloatVec divisor = hn::Set(FloatTag(), static_cast<float>(state.sum[0]));
  ForEachVector(s, count, [&](FloatVec x, int64_t) { return hn::Div(x, divisor); });
}

// Gives the row a new shift for scores up to the largest of `maxima`. Returns the factor by which
// its results so far must be multiplied. A NaN among the maxima is ignored, because its weight will
// be NaN anyway.
HWY_NOINLINE float Reshift(FloatVec maxima, RowState& state) {
  const FloatTag d;
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const FloatVec numbers = hn::IfThenElse(hn::IsNaN(maxima), hn::Set(d, kNone), maxima);
  const float max = hn::GetLane(hn::MaxOfLanes(d, numbers));
  const float shift = std::abs(max) <= RowState::kUnshiftedMax ? 0.0f : max;
  const float factor = state.limit == kNone ? 1.0f : std::exp(state.shift - shift);
  state.shift = shift;
  state.limit = shift + RowState::kUnshiftedMax;
  for (double& sum : state.sum) sum *= factor;
  return factor;
}

// The largest scores of a row, by lane, times `scale`.
HWY_INLINE FloatVec RowMaxima(const float* s, int64_t keys, FloatVec scale) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  FloatVec max0 = hn::Load(d, s), max1 = max0, max2 = max0, max3 = max0;
  int64_t j = 0;
  for (; j + 4 * lanes <= keys; j += 4 * lanes) {
    max0 = hn::Max(max0, hn::Load(d, s + j));
    max1 = hn::Max(max1, hn::Load(d, s + j + lanes));
    max2 = hn::Max(max2, hn::Load(d, s + j + 2 * lanes));
    max3 = hn::Max(max3, hn::Load(d, s + j + 3 * lanes));
  }
  for (; j < keys; j += lanes) max0 = hn::Max(max0, hn::Load(d, s + j));
  return hn::Mul(hn::Max(hn::Max(max0, max1), hn::Max(max2, max3)), scale);
}

// How a row's weights are computed and where they go.
struct WeighExactly {
  static constexpr bool kFast = false, kFloat32 = true, kBfloat16 = false;
};
template <bool kIsFast, bool kKeepFloat32>
struct WeighToBfloat16 {
  static constexpr bool kFast = kIsFast, kFloat32 = kKeepFloat32, kBfloat16 = true;
};

struct WeighRowArgs {
  float* s;
  int64_t keys;
  float scale;
  uint16_t* bfloat16;
  RowState& state;
  const float* ahead;  // null: nothing is prefetched
};

// Turns the scores of one row into weights, and adds these to its sum.
template <class How>
HWY_INLINE void WeighRow(const WeighRowArgs& row) {
  const FloatTag d;
  const UintTag du;
  const int64_t lanes = hn::Lanes(d), keys = row.keys;
  float* const s = row.s;
  const FloatVec by = hn::Set(d, How::kFast ? row.scale * kLog2E : row.scale);
  const FloatVec shift = hn::Set(d, How::kFast ? row.state.shift * kLog2E : row.state.shift);
  const auto weight = [&](int64_t j) HWY_ATTR {
    const FloatVec x = hn::Load(d, s + j);
    // The exact way rounds the product before it subtracts the shift, because the shift is a
    // rounded product too. (The compiler must not fuse the two operations; CMakeLists.txt sees to
    // that.)
    return How::kFast ? FastExp2(hn::MulSub(x, by, shift)) : Exp(hn::Sub(hn::Mul(x, by), shift));
  };
  FloatVec sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  // Takes two vectors 16 keys apart, whose lanes become pairs of bfloat16.
  for (int64_t block = 0; block < keys; block += 32) {
    if (row.ahead != nullptr) {
      hwy::Prefetch(row.ahead + block);
      hwy::Prefetch(row.ahead + block + 16);
    }
    for (int64_t j = block; j < block + 16; j += lanes) {
      const FloatVec first = weight(j), second = weight(j + 16);
      sum0 = hn::Add(sum0, first);
      sum1 = hn::Add(sum1, second);
      if constexpr (How::kFloat32) {
        hn::Store(first, d, s + j);
        hn::Store(second, d, s + j + 16);
      }
      if constexpr (How::kBfloat16) {
        // Weights are not negative, so rounding to nearest, ties up, takes one addition.
        const UintVec half = hn::Set(du, 0x8000), upper = hn::Set(du, 0xFFFF0000u);
        const UintVec low = hn::Add(hn::BitCast(du, first), half);
        const UintVec high = hn::Add(hn::BitCast(du, second), half);
        hn::Store(hn::OrAnd(hn::ShiftRight<16>(low), high, upper), du,
                  reinterpret_cast<uint32_t*>(row.bfloat16) + block / 2 + (j - block));
      }
    }
  }
  AddLanes(hn::Add(sum0, sum1), row.state.sum);
}

// The fast way rounds shift * log2 e and x * log2 e separately, each with a relative error of
// 2^-24. For shifts up to this one that is an error of 2e-3 in a weight, half of bfloat16's own.
constexpr float kLargestFastShift = 1e4f;

// Gives a row a new shift if its scores need one. Returns whether its results so far must be
// multiplied by `factor`.
HWY_INLINE bool ShiftRow(const float* s, int64_t keys, FloatVec scale, RowState& state,
                         float& factor) {
  const FloatTag d;
  factor = 1.0f;
  const FloatVec maxima = RowMaxima(s, keys, scale);
  if (HWY_LIKELY(hn::AllFalse(d, hn::Gt(maxima, hn::Set(d, state.limit))))) return false;
  // Reshift would find the same for most rows; this way needs no maximum over the lanes.
  constexpr float kUnshifted = RowState::kUnshiftedMax;
  const bool fresh = state.limit == -std::numeric_limits<float>::infinity();
  if (HWY_LIKELY(fresh && hn::AllFalse(d, hn::Gt(maxima, hn::Set(d, kUnshifted))) &&
                 !hn::AllFalse(d, hn::Ge(maxima, hn::Set(d, -kUnshifted))))) {
    state.limit = kUnshifted;
    return false;
  }
  factor = Reshift(maxima, state);
  return factor != 1.0f;
}

bool SoftmaxTile(const SoftmaxTileArgs& args) {
  const FloatVec scale = hn::Set(FloatTag(), args.scale);
  bool rescaled = false;
  for (int64_t i = 0; i < args.rows; ++i) {
    rescaled |=
        ShiftRow(args.scores + i * args.stride, args.keys, scale, args.states[i], args.factors[i]);
  }
  for (int64_t i = 0; i < args.rows; ++i) {
    const WeighRowArgs row = {
        .s = args.scores + i * args.stride,
        .keys = args.keys,
        .scale = args.scale,
        .bfloat16 = args.bfloat16 == nullptr ? nullptr : args.bfloat16 + i * args.stride,
        .state = args.states[i],
        .ahead = args.ahead == nullptr ? nullptr : args.ahead[i]};
    if (args.bfloat16 == nullptr) {
      WeighRow<WeighExactly>(row);
    } else if (HWY_UNLIKELY(std::abs(row.state.shift) > kLargestFastShift)) {
      WeighRow<WeighToBfloat16<false, true>>(row);
    } else if (args.keep_float32) {
      WeighRow<WeighToBfloat16<true, true>>(row);
    } else {
      WeighRow<WeighToBfloat16<true, false>>(row);
    }
  }
  return rescaled;
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(AddToSum);
HWY_EXPORT(SoftmaxRow);
HWY_EXPORT(SoftmaxTile);

void AddToSum(const float* s, int64_t count, RowState& state) {
  HWY_DYNAMIC_DISPATCH(AddToSum)(s, count, state);
}

void SoftmaxRow(float* s, int64_t count, float scale, RowState& state) {
  HWY_DYNAMIC_DISPATCH(SoftmaxRow)(s, count, scale, state);
}

bool SoftmaxTile(const SoftmaxTileArgs& args) { return HWY_DYNAMIC_DISPATCH(SoftmaxTile)(args); }

void RowState::AddSink(float logit) {
  if (logit == -std::numeric_limits<float>::infinity()) return;  // e^logit is 0
  shift = std::abs(logit) <= kUnshiftedMax ? 0.0f : logit;
  limit = shift + kUnshiftedMax;
  sum[0] += std::exp(static_cast<double>(logit) - shift);
}

double RowState::Sum() const {
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

}  // namespace attention
#endif
