#include "kernels/attention/rows/stream_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/rows/stream_rows.cc"
#include <hwy/foreach_target.h>
// Highway wants this order: its other headers must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/simd/typed_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// All query rows use this number of bytes of keys or values before the next are read. So they stay
// in the L1 cache, and memory is read from front to back with short breaks only, as hardware
// prefetching needs it.
constexpr int64_t kBytesAtOnce = 8192;

int64_t RowsAtOnce(const RowsView& rows) {
  return std::clamp<int64_t>(kBytesAtOnce / (rows.width * ByteSize(rows.type)), 8, 64);
}

// The columns of rows that one part of a product takes: kVectors vectors of them. With kWhole all
// of them exist in memory; otherwise columns beyond the width are 0.
//
// Two vectors usually hold two runs of columns, one after another. Pairs of bfloat16 numbers in 32
// bits are cheaper to widen if one vector holds the even columns and the next the odd ones. Then
// the float32 numbers that they are multiplied with are loaded in the same order.
template <int kVectors, bool kWhole, typename T>
struct Columns {
  static constexpr bool kEvenAndOdd = kWhole && std::is_same_v<T, hwy::bfloat16_t>;

  int64_t first;
  int64_t width;  // numbers of a row

  // Loads vectors v and v + 1 of a row.
  HWY_INLINE void Load(const T* row, int v, FloatVec& x0, FloatVec& x1) const {
    const UintTag du;
    const T* const from = row + Column(v);
    if constexpr (kEvenAndOdd) {
      const UintVec pairs = hn::LoadU(du, reinterpret_cast<const uint32_t*>(from));
      x0 = hn::BitCast(FloatTag(), hn::ShiftLeft<16>(pairs));
      x1 = hn::BitCast(FloatTag(), hn::And(pairs, hn::Set(du, 0xFFFF0000u)));
    } else if constexpr (kWhole) {
      x0 = LoadAsFloat(from);
      x1 = LoadAsFloat(from + Lanes());
    } else {
      x0 = LoadColumns(row, Column(v), width);
      x1 = LoadColumns(row, Column(v) + Lanes(), width);
    }
  }
  HWY_INLINE void LoadFloats(const float* row, int v, FloatVec& x0, FloatVec& x1) const {
    if constexpr (kEvenAndOdd) {
      hn::LoadInterleaved2(FloatTag(), row + Column(v), x0, x1);
    } else {
      x0 = LoadColumns(row, Column(v), width);
      x1 = LoadColumns(row, Column(v) + Lanes(), width);
    }
  }
  // The same for all vectors of kRows rows, `stride` numbers apart.
  template <int kRows>
  HWY_INLINE void LoadFloats(const float* rows, int64_t stride,
                             FloatVec (&to)[kRows][kVectors]) const {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v += 2) {
        LoadFloats(rows + r * stride, v, to[r][v], to[r][v + 1]);
      }
    }
  }
  // The row must have room for a whole vector beyond its width.
  HWY_INLINE void StoreFloats(FloatVec x0, FloatVec x1, int v, float* row) const {
    if constexpr (kEvenAndOdd) {
      hn::StoreInterleaved2(x0, x1, FloatTag(), row + Column(v));
    } else {
      if (Column(v) < width) hn::StoreU(x0, FloatTag(), row + Column(v));
      if (Column(v) + Lanes() < width) hn::StoreU(x1, FloatTag(), row + Column(v) + Lanes());
    }
  }

 private:
  static int64_t Lanes() { return hn::Lanes(FloatTag()); }
  int64_t Column(int v) const { return first + v * Lanes(); }
};

// Multiplies kRows queries with `count` keys over some columns. The products are added to the
// scores, or replace them if these are the first columns. The queries stay in registers.
template <int kRows, int kVectors, bool kWhole, typename T>
HWY_NOINLINE void DotColumns(const T* keys, int64_t stride, int64_t count,
                             const Columns<kVectors, kWhole, T>& columns, const float* q,
                             int64_t q_stride, float* scores, int64_t score_stride) {
  const hn::FixedTag<float, 4> d4;
  FloatVec query[kRows][kVectors];
  columns.LoadFloats(q, q_stride, query);
  // The number of keys at a time is chosen so that their sums fit into the registers that are left.
  constexpr int64_t kKeys = kRows > 2 ? 2 : 4;
  for (int64_t j = 0; j < count; j += kKeys) {
    FloatVec sums[kRows][kKeys];
#pragma GCC unroll 8
    for (int64_t k = 0; k < kKeys; ++k) {
      const T* const key = keys + std::min(j + k, count - 1) * stride;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v += 2) {
        FloatVec x0, x1;
        columns.Load(key, v, x0, x1);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const FloatVec sum =
              v == 0 ? hn::Mul(x0, query[r][0]) : hn::MulAdd(x0, query[r][v], sums[r][k]);
          sums[r][k] = hn::MulAdd(x1, query[r][v + 1], sum);
        }
      }
    }
    // Reduces four sums at a time, of one row or of two.
    constexpr int kTogether = 4 / kKeys;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; r += kTogether) {
      const auto& next = sums[r + kTogether - 1];
      HWY_ALIGN float dots[4];
      hn::Store(SumsOfLanes(sums[r][0], sums[r][1], next[kKeys - 2], next[kKeys - 1]), d4, dots);
      float* to = scores + r * score_stride + j;
      for (int64_t i = 0; i < kTogether; ++i, to += score_stride) {
        for (int64_t k = 0; k < std::min(kKeys, count - j); ++k) {
          to[k] = columns.first == 0 ? dots[i * kKeys + k] : to[k] + dots[i * kKeys + k];
        }
      }
    }
  }
}

// Adds `count` weighted values to kRows sums, over some columns. The sums stay in registers.
template <int kRows, int kVectors, bool kWhole, typename T>
HWY_NOINLINE void AddWeightedColumns(const T* values, int64_t stride, int64_t count,
                                     const Columns<kVectors, kWhole, T>& columns,
                                     const float* weights, int64_t weight_stride, float* sums,
                                     int64_t sum_stride) {
  FloatVec sum[kRows][kVectors];
  columns.LoadFloats(sums, sum_stride, sum);
  for (int64_t j = 0; j < count; ++j) {
    FloatVec weight[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      weight[r] = hn::Set(FloatTag(), weights[r * weight_stride + j]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; v += 2) {
      FloatVec x0, x1;
      columns.Load(values + j * stride, v, x0, x1);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        sum[r][v] = hn::MulAdd(weight[r], x0, sum[r][v]);
        sum[r][v + 1] = hn::MulAdd(weight[r], x1, sum[r][v + 1]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; v += 2) {
      columns.StoreFloats(sum[r][v], sum[r][v + 1], v, sums + r * sum_stride);
    }
  }
}

// Calls f(number of rows as a constant, first row, Columns) so that the calls cover all `rows` and
// all `width` columns of rows of T. Each call takes as many rows and columns as fit into registers.
template <typename T, typename F>
HWY_INLINE void ForEachPart(int64_t rows, int64_t width, F f) {
  const int64_t lanes = hn::Lanes(FloatTag());
  const auto with_rows = [&](auto at_once, int64_t row) {
    constexpr int kWide = at_once() > 2 ? 4 : 8;
    for (int64_t column = 0; column < width; column += kWide * lanes) {
      const int64_t left = width - column;
      if (left >= kWide * lanes) {
        f(at_once, row, Columns<kWide, true, T>{column, width});
      } else if (left > 4 * lanes) {
        f(at_once, row, Columns<kWide, false, T>{column, width});
      } else if (left == 4 * lanes) {
        f(at_once, row, Columns<4, true, T>{column, width});
      } else {
        f(at_once, row, Columns<4, false, T>{column, width});
      }
    }
  };
  int64_t row = 0;
  if (hn::MaxLanes(FloatTag()) == 16 && width <= 4 * lanes) {  // AVX-512 has 32 registers
    for (; row + 4 <= rows; row += 4) with_rows(std::integral_constant<int, 4>(), row);
  }
  for (; row + 2 <= rows; row += 2) with_rows(std::integral_constant<int, 2>(), row);
  if (row < rows) with_rows(std::integral_constant<int, 1>(), row);
}

HWY_INLINE float AsFloat(float x) { return x; }
HWY_INLINE float AsFloat(double x) { return static_cast<float>(x); }
HWY_INLINE float AsFloat(hwy::bfloat16_t x) { return hwy::F32FromBF16(x); }
HWY_INLINE float AsFloat(hwy::float16_t x) {
  const hn::FixedTag<float, 1> d;
  return hn::GetLane(hn::PromoteTo(d, hn::LoadU(hn::FixedTag<hwy::float16_t, 1>(), &x)));
}

// Keys that are narrower than this would leave most of a vector empty, and take DotNarrowRows.
constexpr int64_t kNarrow = 8;

// DotRows for narrow keys. Products are added up one after another.
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
  WithType(keys, [&]<typename T>(const T* data) {
    if (keys.width < kNarrow) {
      return DotNarrowRows(data, q, rows, q_stride, keys, scores, score_stride);
    }
    const int64_t step = RowsAtOnce(keys);
    for (int64_t j = 0; j < keys.count; j += step) {
      const int64_t count = std::min(step, keys.count - j);
      ForEachPart<T>(rows, keys.width, [&](auto at_once, int64_t r, const auto& columns) {
        DotColumns<at_once()>(data + j * keys.stride, keys.stride, count, columns, q + r * q_stride,
                              q_stride, scores + r * score_stride + j, score_stride);
      });
    }
  });
}

void AddWeightedRows(const float* weights, int64_t rows, int64_t weight_stride,
                     const RowsView& values, float* sums, int64_t sum_stride) {
  WithType(values, [&]<typename T>(const T* data) {
    const int64_t step = RowsAtOnce(values);
    for (int64_t j = 0; j < values.count; j += step) {
      const int64_t count = std::min(step, values.count - j);
      ForEachPart<T>(rows, values.width, [&](auto at_once, int64_t r, const auto& columns) {
        AddWeightedColumns<at_once()>(data + j * values.stride, values.stride, count, columns,
                                      weights + r * weight_stride + j, weight_stride,
                                      sums + r * sum_stride, sum_stride);
      });
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
