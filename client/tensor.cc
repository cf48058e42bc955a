#include "client/tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/narrow_floats.h"

namespace attention::client {
namespace {

// `Tensor.data` is little-endian, and the memcpy below is right only if memory is little-endian
// too.
static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(bool) == 1);

template <typename T>
v1::Tensor MakeTensorOf(v1::DataType data_type, absl::Span<const int64_t> shape,
                        absl::Span<const T> values) {
  v1::Tensor tensor;
  tensor.set_data_type(data_type);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  tensor.set_data(values.data(), values.size() * sizeof(T));
  return tensor;
}

std::string ShapeText(const v1::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]");
}

// Checks that `tensor.data` has as many elements as the shape says.
template <typename T>
absl::Status CheckData(const v1::Tensor& tensor, int64_t count) {
  const size_t bytes = tensor.data().size();
  // This divides rather than multiplies, because count * sizeof(T) could overflow.
  if (bytes % sizeof(T) == 0 && bytes / sizeof(T) == static_cast<size_t>(count)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("data holds ", bytes, " bytes; want ", count,
                                                 " elements of ", sizeof(T),
                                                 " bytes, the shape being ", ShapeText(tensor)));
}

template <typename T>
absl::StatusOr<std::vector<T>> ValuesInData(const v1::Tensor& tensor, int64_t count) {
  if (absl::Status status = CheckData<T>(tensor, count); !status.ok()) return status;
  std::vector<T> values(static_cast<size_t>(count));
  std::memcpy(values.data(), tensor.data().data(), tensor.data().size());
  return values;
}

int64_t ElementBytes(v1::DataType type) {
  switch (type) {
    case v1::DATA_TYPE_BOOL:
      return 1;
    case v1::DATA_TYPE_BFLOAT16:
    case v1::DATA_TYPE_FLOAT16:
      return 2;
    case v1::DATA_TYPE_FLOAT32:
    case v1::DATA_TYPE_INT32:
      return 4;
    case v1::DATA_TYPE_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

absl::Status WrongType(const v1::Tensor& tensor, v1::DataType want) {
  return absl::InvalidArgumentError(
      absl::StrCat("data_type is ", v1::DataType_Name(tensor.data_type()), " (",
                   static_cast<int>(tensor.data_type()), "); want ", v1::DataType_Name(want)));
}

// Returns the elements of `tensor.data`, each converted to float by `convert`.
template <typename T, typename Convert>
absl::StatusOr<std::vector<float>> Converted(const v1::Tensor& tensor, int64_t count,
                                             Convert convert) {
  const absl::StatusOr<std::vector<T>> elements = ValuesInData<T>(tensor, count);
  if (!elements.ok()) return elements.status();
  std::vector<float> values(elements->size());
  std::transform(elements->begin(), elements->end(), values.begin(), convert);
  return values;
}

absl::StatusOr<std::vector<float>> FloatsInData(const v1::Tensor& tensor, int64_t count) {
  switch (tensor.data_type()) {
    case v1::DATA_TYPE_FLOAT32:
      return ValuesInData<float>(tensor, count);
    case v1::DATA_TYPE_BFLOAT16:
      return Converted<uint16_t>(tensor, count, FromBfloat16);
    case v1::DATA_TYPE_FLOAT16:
      return Converted<uint16_t>(tensor, count, FromFloat16);
    case v1::DATA_TYPE_FLOAT64:
      return Converted<double>(tensor, count, [](double x) { return static_cast<float>(x); });
    default:
      return WrongType(tensor, v1::DATA_TYPE_FLOAT32);
  }
}

// Returns the elements of `tensor.float_values`. There must be as many as the shape says, and no
// `data` beside them.
absl::StatusOr<std::vector<float>> ValuesTyped(const v1::Tensor& tensor, int64_t count) {
  if (!tensor.data().empty()) {
    return absl::InvalidArgumentError("both data and float_values are set; want one of them");
  }
  if (tensor.float_values_size() != count) {
    return absl::InvalidArgumentError(absl::StrCat("float_values holds ",
                                                   tensor.float_values_size(), " numbers; want ",
                                                   count, ", the shape being ", ShapeText(tensor)));
  }
  return std::vector<float>(tensor.float_values().begin(), tensor.float_values().end());
}

}  // namespace

v1::Tensor MakeTensor(absl::Span<const int64_t> shape, absl::Span<const float> values,
                      v1::DataType data_type) {
  const auto converted = [&](auto convert) {
    std::vector<decltype(convert(0.0f))> elements(values.size());
    std::transform(values.begin(), values.end(), elements.begin(), convert);
    return MakeTensorOf(data_type, shape, absl::MakeConstSpan(elements));
  };
  switch (data_type) {
    case v1::DATA_TYPE_BFLOAT16:
      return converted(ToBfloat16);
    case v1::DATA_TYPE_FLOAT16:
      return converted(ToFloat16);
    case v1::DATA_TYPE_FLOAT64:
      return converted([](float x) { return static_cast<double>(x); });
    default:
      return MakeTensorOf(v1::DATA_TYPE_FLOAT32, shape, values);
  }
}

v1::Tensor MakeBoolTensor(absl::Span<const int64_t> shape, absl::Span<const bool> values) {
  return MakeTensorOf(v1::DATA_TYPE_BOOL, shape, values);
}

absl::StatusOr<int64_t> ElementCount(absl::Span<const int64_t> shape) {
  if (shape.empty()) return absl::InvalidArgumentError("shape has no axes; want at least 1");
  int64_t count = 1;
  for (const int64_t length : shape) {
    if (length < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape is [", absl::StrJoin(shape, ", "), "]; want every axis at least 1"));
    }
    if (__builtin_mul_overflow(count, length, &count)) {
      return absl::InvalidArgumentError(absl::StrCat("shape is [", absl::StrJoin(shape, ", "),
                                                     "], more elements than an int64 can count"));
    }
  }
  return count;
}

absl::StatusOr<size_t> ByteCount(const v1::Tensor& tensor) {
  const absl::StatusOr<int64_t> count = ElementCount(tensor.shape());
  if (!count.ok()) return count.status();
  const int64_t bytes = ElementBytes(tensor.data_type());
  if (bytes == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("data_type is ", v1::DataType_Name(tensor.data_type())));
  }
  if (*count > INT64_MAX / bytes) {
    return absl::InvalidArgumentError(absl::StrCat("shape ", ShapeText(tensor), " is too large"));
  }
  return static_cast<size_t>(*count * bytes);
}

absl::StatusOr<std::vector<float>> FloatValues(const v1::Tensor& tensor) {
  absl::StatusOr<int64_t> count = ElementCount(tensor.shape());
  if (!count.ok()) return count.status();
  if (tensor.float_values().empty()) return FloatsInData(tensor, *count);
  const bool float32 = tensor.data_type() == v1::DATA_TYPE_FLOAT32 ||
                       tensor.data_type() == v1::DATA_TYPE_UNSPECIFIED;
  if (!float32) return WrongType(tensor, v1::DATA_TYPE_FLOAT32);
  return ValuesTyped(tensor, *count);
}

absl::StatusOr<absl::Span<const float>> FloatView(const v1::Tensor& tensor,
                                                  std::vector<float>& storage) {
  const std::string& data = tensor.data();
  const bool as_they_lie = tensor.data_type() == v1::DATA_TYPE_FLOAT32 &&
                           tensor.float_values().empty() &&
                           reinterpret_cast<uintptr_t>(data.data()) % alignof(float) == 0;
  if (!as_they_lie) {
    absl::StatusOr<std::vector<float>> values = FloatValues(tensor);
    if (!values.ok()) return values.status();
    storage = *std::move(values);
    return absl::MakeConstSpan(storage);
  }
  const absl::StatusOr<int64_t> count = ElementCount(tensor.shape());
  if (!count.ok()) return count.status();
  if (absl::Status status = CheckData<float>(tensor, *count); !status.ok()) return status;
  return absl::MakeConstSpan(reinterpret_cast<const float*>(data.data()),
                             static_cast<size_t>(*count));
}

absl::StatusOr<std::vector<int32_t>> Int32Values(const v1::Tensor& tensor) {
  if (tensor.data_type() != v1::DATA_TYPE_INT32) return WrongType(tensor, v1::DATA_TYPE_INT32);
  absl::StatusOr<int64_t> count = ElementCount(tensor.shape());
  if (!count.ok()) return count.status();
  if (tensor.float_values().empty()) return ValuesInData<int32_t>(tensor, *count);
  const absl::StatusOr<std::vector<float>> floats = ValuesTyped(tensor, *count);
  if (!floats.ok()) return floats.status();
  std::vector<int32_t> values;
  for (const float value : *floats) {
    // The range is checked before the conversion, which is undefined beyond int32. NaN fails the
    // check.
    constexpr float kBeyond = 2147483648.0f;  // 2^31
    if (!(value >= -kBeyond && value < kBeyond) || value != std::trunc(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("float_values holds ", value, "; want whole numbers of DATA_TYPE_INT32"));
    }
    values.push_back(static_cast<int32_t>(value));
  }
  return values;
}

absl::StatusOr<v1::Tensor> AsBytes(const v1::Tensor& tensor) {
  if (tensor.float_values().empty()) return tensor;
  const std::vector<int64_t> shape(tensor.shape().begin(), tensor.shape().end());
  if (tensor.data_type() == v1::DATA_TYPE_INT32) {
    const absl::StatusOr<std::vector<int32_t>> values = Int32Values(tensor);
    if (!values.ok()) return values.status();
    return MakeTensorOf(v1::DATA_TYPE_INT32, shape, absl::MakeConstSpan(*values));
  }
  const absl::StatusOr<std::vector<float>> values = FloatValues(tensor);
  if (!values.ok()) return values.status();
  return MakeTensor(shape, *values);
}

}  // namespace attention::client
