#include "kernels/simd/tile_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/tile_rows.cc"
#include <hwy/foreach_target.h>
// Highway wants this order: its other headers must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/simd/convert.h"
#include "kernels/simd/typed_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// Calls f(x, column, count) for each vector of a row, and for zeros from `width` up to `stride`;
// only the first `count` lanes of x are used.
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

// The next two functions round to bfloat16. The first stores 16-bit numbers, the second float32
// numbers of the same value.
template <typename T>
void LoadHalfRows(const T* data, const RowsView& rows, int64_t stride, uint16_t* to) {
  for (int64_t i = 0; i < rows.count; ++i, to += stride) {
    ForEachColumns(data + i * rows.stride, rows.width, stride,
                   [&](FloatVec x, int64_t column, int64_t count) HWY_ATTR {
                     const UintVec upper = hn::ShiftRight<16>(AsBfloat16InUpperHalf<T>(x));
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

void LoadRows(const RowsView& rows, OperandFormat format, int64_t stride, void* to) {
  if (rows.type == format.operand && !format.round_to_bfloat16 && stride == rows.width) {
    const int64_t size = ByteSize(rows.type), bytes = rows.width * size;
    for (int64_t i = 0; i < rows.count; ++i) {
      std::memcpy(static_cast<char*>(to) + i * bytes,
                  static_cast<const char*>(rows.data) + i * rows.stride * size, bytes);
    }
    return;
  }
  WithType(rows, [&](const auto* data) {
    if (format.operand == DataType::kBfloat16) {
      LoadHalfRows(data, rows, stride, static_cast<uint16_t*>(to));
    } else if (format.round_to_bfloat16) {
      LoadRoundedRows(data, rows, stride, static_cast<float*>(to));
    } else {
      LoadFloatRows(data, rows, stride, static_cast<float*>(to));
    }
  });
}

HWY_INLINE void StoreLanesAs(FloatVec x, int64_t count, float* to) { StoreLanes(x, count, to); }
HWY_INLINE void StoreLanesAs(FloatVec x, int64_t count, hwy::bfloat16_t* to) {
  const UintVec upper = hn::ShiftRight<16>(Bfloat16InUpperHalf(x));
  StoreLanes(hn::TruncateTo(HalfwordTag(), upper), count, reinterpret_cast<uint16_t*>(to));
}

// The bits of |x| minus the bits of kLeastOrdinary, for the first `count` lanes. Bits of magnitudes
// are ordered as the magnitudes are, so smaller numbers wrap around and come to lie above the
// largest float32, as infinities and NaNs do. Therefore the largest of these differences tells
// whether all numbers are ordinary. This takes three cheap instructions for each vector, in a loop
// that waits for memory.
constexpr uint32_t kLeastBits = std::bit_cast<uint32_t>(kLeastOrdinary);

HWY_INLINE UintVec AboveLeast(FloatVec x, int64_t count) {
  const UintTag du;
  const UintVec size = hn::And(hn::BitCast(du, x), hn::Set(du, 0x7FFFFFFF));
  const UintVec above = hn::Sub(size, hn::Set(du, kLeastBits));
  if (HWY_LIKELY(count >= static_cast<int64_t>(hn::Lanes(du)))) return above;
  return hn::IfThenElseZero(hn::FirstN(du, count), above);
}

HWY_INLINE bool AllOrdinary(UintVec most_above_least) {
  const UintTag du;
  const UintVec limit = hn::Set(du, 0x7F7FFFFF - kLeastBits);
  return hn::AllTrue(du, hn::Eq(hn::Max(most_above_least, limit), limit));
}

// For float32 and bfloat16, the types that matter most.
template <typename T>
bool StoreRows(const float* from, int64_t from_stride, const float* factors,
               const MutableRowsView& rows) {
  const int64_t lanes = hn::Lanes(FloatTag());
  UintVec above = hn::Zero(UintTag());
  T* to = static_cast<T*>(rows.data);
  for (int64_t i = 0; i < rows.count; ++i, from += from_stride, to += rows.stride) {
    const FloatVec factor = hn::Set(FloatTag(), factors[i]);
    for (int64_t column = 0; column < rows.width; column += lanes) {
      const FloatVec x = hn::Mul(LoadColumns(from, column, rows.width), factor);
      above = hn::Max(above, AboveLeast(x, rows.width - column));
      StoreLanesAs(x, rows.width - column, to + column);
    }
  }
  return AllOrdinary(above);
}

// For the other types, by way of a buffer.
bool StoreOtherRows(const float* from, int64_t from_stride, const float* factors,
                    const MutableRowsView& rows) {
  const int64_t lanes = hn::Lanes(FloatTag());
  constexpr int64_t kPart = 64;
  HWY_ALIGN float part[kPart];
  UintVec above = hn::Zero(UintTag());
  for (int64_t i = 0; i < rows.count; ++i, from += from_stride) {
    const FloatVec factor = hn::Set(FloatTag(), factors[i]);
    for (int64_t first = 0; first < rows.width; first += kPart) {
      const int64_t count = std::min(kPart, rows.width - first);
      for (int64_t j = 0; j < count; j += lanes) {
        const FloatVec x = hn::Mul(LoadColumns(from, first + j, rows.width), factor);
        above = hn::Max(above, AboveLeast(x, count - j));
        hn::Store(x, FloatTag(), part + j);
      }
      FromFloat32(part, count, rows.type,
                  static_cast<char*>(rows.data) + (i * rows.stride + first) * ByteSize(rows.type));
    }
  }
  return AllOrdinary(above);
}

bool StoreScaledRows(const float* from, int64_t from_stride, const float* factors,
                     const MutableRowsView& rows) {
  if (rows.type == DataType::kFloat32) return StoreRows<float>(from, from_stride, factors, rows);
  if (rows.type == DataType::kBfloat16) {
    return StoreRows<hwy::bfloat16_t>(from, from_stride, factors, rows);
  }
  return StoreOtherRows(from, from_stride, factors, rows);
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(LoadRows);
HWY_EXPORT(StoreScaledRows);

void LoadRows(const RowsView& rows, OperandFormat format, int64_t stride, void* to) {
  HWY_DYNAMIC_DISPATCH(LoadRows)(rows, format, stride, to);
}

bool StoreScaledRows(const float* from, int64_t from_stride, const float* factors,
                     const MutableRowsView& rows) {
  return HWY_DYNAMIC_DISPATCH(StoreScaledRows)(from, from_stride, factors, rows);
}

}  // namespace attention
#endif
