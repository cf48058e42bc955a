#include "kernels/tile_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/tile_rows.cc"
#include <hwy/foreach_target.h>
// Highway's own order: its headers follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "kernels/convert.h"
#include "kernels/typed_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// The first `count` lanes of x.
template <typename T, class V>
HWY_INLINE void StoreLanes(V x, int64_t count, T* to) {
  const hn::DFromV<V> d;
  if (count >= static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(x, d, to);
    return;
  }
  HWY_ALIGN T lanes[hn::MaxLanes(hn::DFromV<V>())];
  hn::Store(x, d, lanes);
  std::memcpy(to, lanes, count * sizeof(T));
}

// Calls f(x, column, count) for the vectors of `width` columns of a row, and for zeros up to
// `stride`; `count` lanes of x count.
template <typename T, typename F>
HWY_INLINE void ForEachColumns(const T* row, int64_t width, int64_t stride, F f) {
  const int64_t lanes = hn::Lanes(FloatTag());
  for (int64_t column = 0; column < stride; column += lanes) {
    f(LoadColumns(row, column, width), column, stride - column);
  }
}

template <typename T>
void LoadFloatRows(const T* data, const RowsView& rows, int64_t stride, float* to) {
  for (int64_t i = 0; i < rows.count; ++i, to += stride) {
    ForEachColumns(data + i * rows.stride, rows.width, stride,
                   [&](FloatVec x, int64_t column, int64_t count)
                       HWY_ATTR { StoreLanes(x, count, to + column); });
  }
}

// Rounded to bfloat16: in halves of 16 bits, or as float32 numbers of the same value.
template <typename T>
void LoadHalfRows(const T* data, const RowsView& rows, int64_t stride, uint16_t* to) {
  for (int64_t i = 0; i < rows.count; ++i, to += stride) {
    ForEachColumns(data + i * rows.stride, rows.width, stride,
                   [&](FloatVec x, int64_t column, int64_t count) HWY_ATTR {
                     const UintVec upper = hn::ShiftRight<16>(Bfloat16InUpperHalf(x));
                     StoreLanes(hn::TruncateTo(HalfwordTag(), upper), count, to + column);
                   });
  }
}

template <typename T>
void LoadRoundedRows(const T* data, const RowsView& rows, int64_t stride, float* to) {
  const UintTag du;
  for (int64_t i = 0; i < rows.count; ++i, to += stride) {
    ForEachColumns(data + i * rows.stride, rows.width, stride,
                   [&](FloatVec x, int64_t column, int64_t count) HWY_ATTR {
                     const UintVec upper =
                         hn::And(Bfloat16InUpperHalf(x), hn::Set(du, 0xFFFF0000u));
                     StoreLanes(hn::BitCast(FloatTag(), upper), count, to + column);
                   });
  }
}

void LoadRows(const RowsView& rows, PackAs as, int64_t stride, void* to) {
  WithType(rows, [&](const auto* data) {
    if (as.operand == DataType::kBfloat16) {
      LoadHalfRows(data, rows, stride, static_cast<uint16_t*>(to));
    } else if (as.round_to_bfloat16) {
      LoadRoundedRows(data, rows, stride, static_cast<float*>(to));
    } else {
      LoadFloatRows(data, rows, stride, static_cast<float*>(to));
    }
  });
}

// float32 and bfloat16, the types that matter most, are written at once; the others by way of a
// buffer.
void StoreScaledRows(const float* from, int64_t from_stride, const float* factors,
                     const MutableRowsView& rows) {
  const int64_t lanes = hn::Lanes(FloatTag());
  constexpr int64_t kPart = 64;
  HWY_ALIGN float part[kPart];
  for (int64_t i = 0; i < rows.count; ++i, from += from_stride) {
    const FloatVec factor = hn::Set(FloatTag(), factors[i]);
    auto* const row = static_cast<char*>(rows.data) + i * rows.stride * ByteSize(rows.type);
    for (int64_t column = 0; column < rows.width; column += lanes) {
      const int64_t count = rows.width - column;
      const FloatVec x = hn::Mul(LoadColumns(from, column, rows.width), factor);
      if (rows.type == DataType::kFloat32) {
        StoreLanes(x, count, reinterpret_cast<float*>(row) + column);
      } else if (rows.type == DataType::kBfloat16) {
        const UintVec upper = hn::ShiftRight<16>(Bfloat16InUpperHalf(x));
        StoreLanes(hn::TruncateTo(HalfwordTag(), upper), count,
                   reinterpret_cast<uint16_t*>(row) + column);
      } else {
        hn::Store(x, FloatTag(), part + column % kPart);
        const bool full = (column + lanes) % kPart == 0 || count <= lanes;
        if (!full) continue;
        const int64_t first = column / kPart * kPart;
        FromFloat32(part, std::min(kPart, rows.width - first), rows.type,
                    row + first * ByteSize(rows.type));
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(LoadRows);
HWY_EXPORT(StoreScaledRows);

void LoadRows(const RowsView& rows, PackAs as, int64_t stride, void* to) {
  HWY_DYNAMIC_DISPATCH(LoadRows)(rows, as, stride, to);
}

void StoreScaledRows(const float* from, int64_t from_stride, const float* factors,
                     const MutableRowsView& rows) {
  HWY_DYNAMIC_DISPATCH(StoreScaledRows)(from, from_stride, factors, rows);
}

}  // namespace attention
#endif
