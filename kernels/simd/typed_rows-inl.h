// Loads rows of numbers of any type as float32 vectors. This file is included once for each
// instruction set, so its include guard follows Highway's convention.
#if defined(ATTENTION_KERNELS_SIMD_TYPED_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTENTION_KERNELS_SIMD_TYPED_ROWS_INL_H_
#undef ATTENTION_KERNELS_SIMD_TYPED_ROWS_INL_H_
#else
#define ATTENTION_KERNELS_SIMD_TYPED_ROWS_INL_H_
#endif

#include <type_traits>

#include "kernels/memory/rows_view.h"
#include "kernels/simd/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// Calls f with a typed pointer to the rows' first number.
template <typename F>
HWY_INLINE void WithType(const RowsView& rows, F f) {
  switch (rows.type) {
    case DataType::kFloat32:
      return f(static_cast<const float*>(rows.data));
    case DataType::kBfloat16:
      return f(static_cast<const hwy::bfloat16_t*>(rows.data));
    case DataType::kFloat16:
      return f(static_cast<const hwy::float16_t*>(rows.data));
    case DataType::kFloat64:
      return f(static_cast<const double*>(rows.data));
  }
}

// Loads numbers [column, column + Lanes) of a row of `width` numbers; lanes beyond its end are 0.
template <typename T>
HWY_INLINE FloatVec LoadColumns(const T* row, int64_t column, int64_t width) {
  const int64_t lanes = hn::Lanes(FloatTag());
  if (column + lanes <= width) return LoadAsFloat(row + column);
  if (column >= width) return hn::Zero(FloatTag());
  return LoadPartAsFloat(row + column, width - column);
}

// Stores the first `count` lanes of x.
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

// Rounds numbers that were loaded from T to bfloat16. The upper half of each lane holds the result,
// the lower half is undefined.
template <typename T>
HWY_INLINE UintVec AsBfloat16InUpperHalf(FloatVec x) {
  if constexpr (std::is_same_v<T, hwy::bfloat16_t>) {
    return hn::BitCast(UintTag(), x);
  } else {
    return Bfloat16InUpperHalf(x);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#endif  // ATTENTION_KERNELS_SIMD_TYPED_ROWS_INL_H_
