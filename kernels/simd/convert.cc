#include "kernels/simd/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/convert.cc"
#include <hwy/foreach_target.h>
// Highway wants this order: its other headers must follow foreach_target.h.
#include <hwy/highway.h>

#include "kernels/simd/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

// Stores lanes of float32 as type T in `to`, without alignment.
HWY_INLINE void StoreFloat(FloatVec x, float* to) { hn::StoreU(x, FloatTag(), to); }
HWY_INLINE void StoreFloat(FloatVec x, hwy::bfloat16_t* to) {
  const auto halves = hn::TruncateTo(HalfwordTag(), hn::ShiftRight<16>(Bfloat16InUpperHalf(x)));
  hn::StoreU(halves, HalfwordTag(), reinterpret_cast<uint16_t*>(to));
}
HWY_INLINE void StoreFloat(FloatVec x, hwy::float16_t* to) {
  const hn::Rebind<hwy::float16_t, FloatTag> d16;
  hn::StoreU(hn::BitCast(HalfwordTag(), hn::DemoteTo(d16, x)), HalfwordTag(),
             reinterpret_cast<uint16_t*>(to));
}
HWY_INLINE void StoreFloat(FloatVec x, double* to) {
  const hn::Repartition<double, FloatTag> dd;
  const hn::Half<FloatTag> dh;
  hn::StoreU(hn::PromoteTo(dd, hn::LowerHalf(dh, x)), dd, to);
  hn::StoreU(hn::PromoteTo(dd, hn::UpperHalf(dh, x)), dd, to + hn::Lanes(dd));
}

template <typename T>
void Widen(const T* from, int64_t count, float* to) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(LoadAsFloat(from + i), d, to + i);
  if (i == count) return;
  HWY_ALIGN float part[hn::MaxLanes(d)];
  hn::Store(LoadPartAsFloat(from + i, count - i), d, part);
  std::memcpy(to + i, part, (count - i) * sizeof(float));
}

template <typename T>
void Narrow(const float* from, int64_t count, T* to) {
  const FloatTag d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) StoreFloat(LoadAsFloat(from + i), to + i);
  if (i == count) return;
  HWY_ALIGN T part[hn::MaxLanes(d)];
  StoreFloat(LoadPartAsFloat(from + i, count - i), part);
  std::memcpy(to + i, part, (count - i) * sizeof(T));
}

void ToFloat32(const void* from, DataType type, int64_t count, float* to) {
  switch (type) {
    case DataType::kFloat32:
      std::memcpy(to, from, count * sizeof(float));
      return;
    case DataType::kBfloat16:
      return Widen(static_cast<const hwy::bfloat16_t*>(from), count, to);
    case DataType::kFloat16:
      return Widen(static_cast<const hwy::float16_t*>(from), count, to);
    case DataType::kFloat64:
      return Widen(static_cast<const double*>(from), count, to);
  }
}

void FromFloat32(const float* from, int64_t count, DataType type, void* to) {
  switch (type) {
    case DataType::kFloat32:
      std::memcpy(to, from, count * sizeof(float));
      return;
    case DataType::kBfloat16:
      return Narrow(from, count, static_cast<hwy::bfloat16_t*>(to));
    case DataType::kFloat16:
      return Narrow(from, count, static_cast<hwy::float16_t*>(to));
    case DataType::kFloat64:
      return Narrow(from, count, static_cast<double*>(to));
  }
}

void RoundInPlaceOfFloat32(const float* from, int64_t count, float* to) {
  const FloatTag d;
  const UintTag du;
  const int64_t lanes = hn::Lanes(d);
  const auto round = [&](FloatVec x) {
    return hn::BitCast(d, hn::And(Bfloat16InUpperHalf(x), hn::Set(du, 0xFFFF0000u)));
  };
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(round(LoadAsFloat(from + i)), d, to + i);
  if (i == count) return;
  HWY_ALIGN float part[hn::MaxLanes(d)];
  hn::Store(round(LoadPartAsFloat(from + i, count - i)), d, part);
  std::memcpy(to + i, part, (count - i) * sizeof(float));
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(ToFloat32);
HWY_EXPORT(FromFloat32);
HWY_EXPORT(RoundInPlaceOfFloat32);

void ToFloat32(const void* from, DataType type, int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(ToFloat32)(from, type, count, to);
}

void FromFloat32(const float* from, int64_t count, DataType type, void* to) {
  HWY_DYNAMIC_DISPATCH(FromFloat32)(from, count, type, to);
}

void RoundToBfloat16(const float* from, int64_t count, uint16_t* to) {
  HWY_DYNAMIC_DISPATCH(FromFloat32)(from, count, DataType::kBfloat16, to);
}

void RoundToBfloat16(const float* from, int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(RoundInPlaceOfFloat32)(from, count, to);
}

}  // namespace attention
#endif
