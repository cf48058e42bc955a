#include "kernels/stream_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/stream_rows.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
// Highway's own order: its headers follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "kernels/typed_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// Rows of keys or values that are asked for ahead of their use; strides defeat the hardware.
constexpr int64_t kPrefetchRows = 12;
constexpr int64_t kCacheLine = 64;  // bytes

template <typename T>
HWY_INLINE void PrefetchRow(const T* row, int64_t width) {
  const auto* const bytes = reinterpret_cast<const char*>(row);
  const int64_t size = width * static_cast<int64_t>(sizeof(T));
  for (int64_t at = 0; at < size; at += kCacheLine) hwy::Prefetch(bytes + at);
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

// The products of kRows queries with all keys, four keys at a time.
template <int kRows, typename T>
void DotSomeRows(const T* data, const float* q, int64_t q_stride, const RowsView& keys,
                 float* scores, int64_t score_stride) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t j = 0; j < keys.count; j += 4) {
    const T* row[4];
    for (int64_t k = 0; k < 4; ++k) {
      row[k] = data + std::min(j + k, keys.count - 1) * keys.stride;
      if (j + k + kPrefetchRows < keys.count) {
        PrefetchRow(data + (j + k + kPrefetchRows) * keys.stride, keys.width);
      }
    }
    FloatVec sums[kRows][4];
    for (int r = 0; r < kRows; ++r) {
      for (int k = 0; k < 4; ++k) sums[r][k] = hn::Zero(d);
    }
    for (int64_t column = 0; column < keys.width; column += lanes) {
      FloatVec x[4];
      for (int k = 0; k < 4; ++k) x[k] = LoadColumns(row[k], column, keys.width);
      for (int r = 0; r < kRows; ++r) {
        const FloatVec y = hn::LoadU(d, q + r * q_stride + column);
        for (int k = 0; k < 4; ++k) sums[r][k] = hn::MulAdd(x[k], y, sums[r][k]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const hn::FixedTag<float, 4> d4;
      const auto dots = SumsOfLanes(sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
      float* const to = scores + r * score_stride + j;
      if (j + 4 <= keys.count) {
        hn::StoreU(dots, d4, to);
      } else {
        HWY_ALIGN float part[4];
        hn::Store(dots, d4, part);
        std::copy_n(part, keys.count - j, to);
      }
    }
  }
}

// Keys whose values stay in the L1 cache while all columns are summed.
constexpr int64_t kValueRows = 32;

// Adds columns [column, column + kVectors * lanes) of `count` weighted values.
template <int kRows, int kVectors, typename T>
HWY_INLINE void AddWeightedColumns(const T* values, int64_t stride, int64_t count, int64_t column,
                                   int64_t width, const float* weights, int64_t weight_stride,
                                   float* sums, int64_t sum_stride) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  FloatVec sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = hn::LoadU(d, sums + r * sum_stride + column + v * lanes);
    }
  }
  for (int64_t j = 0; j < count; ++j) {
    FloatVec x[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      x[v] = LoadColumns(values + j * stride, column + v * lanes, width);
    }
    for (int r = 0; r < kRows; ++r) {
      const FloatVec weight = hn::Set(d, weights[r * weight_stride + j]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(weight, x[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, sums + r * sum_stride + column + v * lanes);
    }
  }
}

template <int kRows, typename T>
void AddSomeWeightedRows(const T* data, const float* weights, int64_t weight_stride,
                         const RowsView& values, float* sums, int64_t sum_stride) {
  const int64_t lanes = hn::Lanes(FloatTag());
  for (int64_t j = 0; j < values.count; j += kValueRows) {
    const T* const rows = data + j * values.stride;
    const int64_t count = std::min(kValueRows, values.count - j);
    const int64_t ahead = std::min(values.count - j, kValueRows + count);
    for (int64_t k = count; k < ahead; ++k) PrefetchRow(rows + k * values.stride, values.width);
    int64_t column = 0;
    for (; column + 4 * lanes <= values.width; column += 4 * lanes) {
      AddWeightedColumns<kRows, 4>(rows, values.stride, count, column, values.width, weights + j,
                                   weight_stride, sums, sum_stride);
    }
    for (; column < values.width; column += lanes) {
      AddWeightedColumns<kRows, 1>(rows, values.stride, count, column, values.width, weights + j,
                                   weight_stride, sums, sum_stride);
    }
  }
}

HWY_INLINE float AsFloat(float x) { return x; }
HWY_INLINE float AsFloat(double x) { return static_cast<float>(x); }
HWY_INLINE float AsFloat(hwy::bfloat16_t x) { return hwy::F32FromBF16(x); }
HWY_INLINE float AsFloat(hwy::float16_t x) {
  const hn::FixedTag<float, 1> d;
  return hn::GetLane(hn::PromoteTo(d, hn::LoadU(hn::FixedTag<hwy::float16_t, 1>(), &x)));
}

// Keys narrower than this would leave most of a vector empty.
constexpr int64_t kNarrow = 8;

// The same for narrow keys, each product added to the sum before it.
template <typename T>
void DotNarrowRows(const T* data, const float* q, int64_t rows, int64_t q_stride,
                   const RowsView& keys, float* scores, int64_t score_stride) {
  for (int64_t j = 0; j < keys.count; ++j) {
    float key[kNarrow] = {};
    for (int64_t d = 0; d < keys.width; ++d) {
      T x;
      std::memcpy(&x, data + j * keys.stride + d, sizeof(x));
      key[d] = AsFloat(x);
    }
    for (int64_t r = 0; r < rows; ++r) {
      float sum = 0;
      for (int64_t d = 0; d < keys.width; ++d) sum = std::fma(q[r * q_stride + d], key[d], sum);
      scores[r * score_stride + j] = sum;
    }
  }
}

void DotRows(const float* q, int64_t rows, int64_t q_stride, const RowsView& keys, float* scores,
             int64_t score_stride) {
  WithType(keys, [&](const auto* data) {
    if (keys.width < kNarrow) {
      return DotNarrowRows(data, q, rows, q_stride, keys, scores, score_stride);
    }
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      DotSomeRows<4>(data, q + r * q_stride, q_stride, keys, scores + r * score_stride,
                     score_stride);
    }
    for (; r < rows; ++r) {
      DotSomeRows<1>(data, q + r * q_stride, q_stride, keys, scores + r * score_stride,
                     score_stride);
    }
  });
}

void AddWeightedRows(const float* weights, int64_t rows, int64_t weight_stride,
                     const RowsView& values, float* sums, int64_t sum_stride) {
  WithType(values, [&](const auto* data) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      AddSomeWeightedRows<4>(data, weights + r * weight_stride, weight_stride, values,
                             sums + r * sum_stride, sum_stride);
    }
    for (; r < rows; ++r) {
      AddSomeWeightedRows<1>(data, weights + r * weight_stride, weight_stride, values,
                             sums + r * sum_stride, sum_stride);
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(DotRows);
HWY_EXPORT(AddWeightedRows);

void DotRows(const float* q, int64_t rows, int64_t q_stride, const RowsView& keys, float* scores,
             int64_t score_stride) {
  HWY_DYNAMIC_DISPATCH(DotRows)(q, rows, q_stride, keys, scores, score_stride);
}

void AddWeightedRows(const float* weights, int64_t rows, int64_t weight_stride,
                     const RowsView& values, float* sums, int64_t sum_stride) {
  HWY_DYNAMIC_DISPATCH(AddWeightedRows)
  (weights, rows, weight_stride, values, sums, sum_stride);
}

}  // namespace attention
#endif
