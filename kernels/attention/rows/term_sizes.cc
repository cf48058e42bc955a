#include "kernels/attention/rows/term_sizes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/rows/term_sizes.cc"
#include <hwy/foreach_target.h>
// Highway wants this order: its other headers must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <bit>

#include "kernels/simd/typed_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// Adds the magnitudes in kVectors vectors of columns from `first` on. With kWhole all of these
// columns exist.
template <int kVectors, bool kWhole, typename T>
HWY_INLINE void AddSizesOfColumns(const T* data, const RowsView& rows, int64_t first,
                                  float* sizes) {
  const int64_t lanes = hn::Lanes(FloatTag());
  FloatVec sums[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    sums[v] = LoadColumns(sizes, first + v * lanes, rows.width);
  }
  for (int64_t j = 0; j < rows.count; ++j) {
    const T* const row = data + j * rows.stride;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int64_t column = first + v * lanes;
      const FloatVec x = kWhole ? LoadAsFloat(row + column) : LoadColumns(row, column, rows.width);
      sums[v] = hn::Add(sums[v], hn::Abs(x));
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    const int64_t column = first + v * lanes;
    if (column < rows.width) StoreLanes(sums[v], rows.width - column, sizes + column);
  }
}

void AddColumnSizes(const RowsView& rows, float* sizes) {
  constexpr int kVectors = 4;
  const int64_t at_once = kVectors * hn::Lanes(FloatTag());
  WithType(rows, [&](const auto* data) {
    for (int64_t first = 0; first < rows.width; first += at_once) {
      if (first + at_once <= rows.width) {
        AddSizesOfColumns<kVectors, true>(data, rows, first, sizes);
      } else {
        AddSizesOfColumns<kVectors, false>(data, rows, first, sizes);
      }
    }
  });
}

void AddRowSizes(const RowsView& rows, const float* factors, float* sizes) {
  const hn::FixedTag<float, 4> d4;
  const int64_t lanes = hn::Lanes(FloatTag());
  const float* const data = static_cast<const float*>(rows.data);
  // Takes four rows at a time, whose sums over lanes are computed together.
  for (int64_t j = 0; j < rows.count; j += 4) {
    FloatVec sums[4];
#pragma GCC unroll 4
    for (FloatVec& sum : sums) sum = hn::Zero(FloatTag());
    for (int64_t d = 0; d < rows.width; d += lanes) {
      const FloatVec factor = LoadColumns(factors, d, rows.width);
#pragma GCC unroll 4
      for (int64_t k = 0; k < 4; ++k) {
        const float* const row = data + std::min(j + k, rows.count - 1) * rows.stride;
        sums[k] = hn::MulAdd(hn::Abs(LoadColumns(row, d, rows.width)), factor, sums[k]);
      }
    }
    HWY_ALIGN float four[4];
    hn::Store(SumsOfLanes(sums[0], sums[1], sums[2], sums[3]), d4, four);
    for (int64_t k = 0; k < std::min<int64_t>(4, rows.count - j); ++k) sizes[j + k] += four[k];
  }
}

// Compares the bits of magnitudes, which have the same order, after subtracting those of
// kLeastSafeSum. Magnitudes below it wrap around and come to lie above the largest float32, as
// infinities and NaNs do.
bool AreSafeSums(const float* sums, int64_t count) {
  constexpr uint32_t kLeast = std::bit_cast<uint32_t>(kLeastSafeSum);
  const UintTag du;
  const int64_t lanes = hn::Lanes(du);
  UintVec most = hn::Zero(du);
  for (int64_t d = 0; d < count; d += lanes) {
    const UintVec size =
        hn::And(hn::BitCast(du, LoadColumns(sums, d, count)), hn::Set(du, 0x7FFFFFFF));
    UintVec above = hn::Sub(size, hn::Set(du, kLeast));
    if (count - d < lanes) above = hn::IfThenElseZero(hn::FirstN(du, count - d), above);
    most = hn::Max(most, above);
  }
  const UintVec limit = hn::Set(du, 0x7F7FFFFF - kLeast);
  return hn::AllTrue(du, hn::Eq(hn::Max(most, limit), limit));
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(AddColumnSizes);
HWY_EXPORT(AddRowSizes);
HWY_EXPORT(AreSafeSums);

void AddColumnSizes(const RowsView& rows, float* sizes) {
  HWY_DYNAMIC_DISPATCH(AddColumnSizes)(rows, sizes);
}

void AddRowSizes(const RowsView& rows, const float* factors, float* sizes) {
  HWY_DYNAMIC_DISPATCH(AddRowSizes)(rows, factors, sizes);
}

bool AreSafeSums(const float* sums, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(AreSafeSums)(sums, count);
}

}  // namespace attention
#endif
