#include "server/rpc/messages/decode_tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "kernels/simd/convert.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are little-endian on the wire and read in place");

constexpr int kMaxRank = 4;
constexpr int64_t kMaxElements = int64_t{1} << 62;

constexpr int kNoAxis = -1;

// The number of elements that the shape says. Axis `may_be_empty` may be 0.
absl::StatusOr<int64_t> ElementCount(const v1::Tensor& tensor, int may_be_empty,
                                     absl::string_view field) {
  const std::string shape_field = absl::StrCat(field, ".shape");
  if (tensor.shape().empty() || tensor.shape_size() > kMaxRank) {
    return FieldError(shape_field,
                      absl::StrCat("has ", tensor.shape_size(), " axes; want 1 to ", kMaxRank));
  }
  int64_t count = 1;
  for (int axis = 0; axis < tensor.shape_size(); ++axis) {
    const int64_t length = tensor.shape(axis);
    if (length < (axis == may_be_empty ? 0 : 1)) {
      return FieldError(shape_field,
                        absl::StrCat("is ", ShapeText(tensor.shape()), ", with ", length,
                                     " on axis ", axis, "; want at least 1 on every axis"));
    }
    if (count > 0 && length > kMaxElements / count) {
      return FieldError(shape_field, absl::StrCat("is ", ShapeText(tensor.shape()),
                                                  ", more elements than can be counted; want as "
                                                  "many as `data` or `float_values` hold"));
    }
    count *= length;
  }
  return count;
}

// That exactly one of the two encodings is there, with `count` elements of `element_size` bytes.
absl::Status CheckElements(const v1::Tensor& tensor, int64_t count, int64_t element_size,
                           absl::string_view field) {
  const int64_t bytes = static_cast<int64_t>(tensor.data().size());
  if (bytes > 0 && !tensor.float_values().empty()) {
    return FieldError(field, absl::StrCat("has both data (", bytes, " bytes) and float_values (",
                                          tensor.float_values_size(), "); want one of the two"));
  }
  if (!tensor.float_values().empty()) {
    if (tensor.float_values_size() == count) return absl::OkStatus();
    return FieldError(absl::StrCat(field, ".float_values"),
                      absl::StrCat("has ", tensor.float_values_size(), " values; want ", count,
                                   " = product of shape ", ShapeText(tensor.shape())));
  }
  // Divided, not multiplied: the product might overflow.
  if (bytes % element_size == 0 && bytes / element_size == count) return absl::OkStatus();
  return FieldError(
      absl::StrCat(field, ".data"),
      absl::StrCat("has ", bytes, " bytes; want ", count, " elements of ", element_size,
                   " bytes = product of shape ", ShapeText(tensor.shape())));
}

// Null where it is no float type.
std::optional<DataType> FloatType(const v1::Tensor& tensor) {
  switch (tensor.data_type()) {
    case v1::DATA_TYPE_FLOAT32:
      return DataType::kFloat32;
    case v1::DATA_TYPE_BFLOAT16:
      return DataType::kBfloat16;
    case v1::DATA_TYPE_FLOAT16:
      return DataType::kFloat16;
    case v1::DATA_TYPE_FLOAT64:
      return DataType::kFloat64;
    default:
      break;
  }
  const bool typed_by_hand =
      tensor.data_type() == v1::DATA_TYPE_UNSPECIFIED && !tensor.float_values().empty();
  return typed_by_hand ? std::optional(DataType::kFloat32) : std::nullopt;
}

absl::StatusOr<TensorView> Decode(const v1::Tensor& tensor, int may_be_empty,
                                  absl::string_view field) {
  const std::optional<DataType> type = FloatType(tensor);
  if (!type.has_value()) {
    const std::string& name = v1::DataType_Name(tensor.data_type());
    return FieldError(absl::StrCat(field, ".data_type"),
                      absl::StrCat("is ", name.empty() ? "unknown: " : name,
                                   name.empty() ? absl::StrCat(tensor.data_type()) : "",
                                   "; want DATA_TYPE_FLOAT32, BFLOAT16, FLOAT16 or FLOAT64"));
  }
  if (!tensor.float_values().empty() && *type != DataType::kFloat32) {
    return FieldError(absl::StrCat(field, ".float_values"),
                      absl::StrCat("are set with ", v1::DataType_Name(tensor.data_type()),
                                   "; want DATA_TYPE_FLOAT32 with them, or `data`"));
  }
  const absl::StatusOr<int64_t> count = ElementCount(tensor, may_be_empty, field);
  if (!count.ok()) return count.status();
  absl::Status elements = CheckElements(tensor, *count, ByteSize(*type), field);
  if (!elements.ok()) return elements;
  TensorView view;
  view.shape.assign(tensor.shape().begin(), tensor.shape().end());
  const void* const data = tensor.float_values().empty()
                               ? static_cast<const void*>(tensor.data().data())
                               : tensor.float_values().data();
  view.numbers = {static_cast<const std::byte*>(data), *type};
  return view;
}

absl::StatusOr<MaskTensorView> DecodeBools(const v1::Tensor& tensor, absl::string_view field,
                                           TensorStorage& storage) {
  const absl::StatusOr<int64_t> count = ElementCount(tensor, kNoAxis, field);
  if (!count.ok()) return count.status();
  absl::Status elements = CheckElements(tensor, *count, sizeof(uint8_t), field);
  if (!elements.ok()) return elements;
  MaskTensorView view;
  view.shape.assign(tensor.shape().begin(), tensor.shape().end());
  const auto is_bool = [](auto x) { return x == 0 || x == 1; };
  if (tensor.float_values().empty()) {
    view.bools = reinterpret_cast<const uint8_t*>(tensor.data().data());
    if (std::all_of(view.bools, view.bools + *count, is_bool)) return view;
  } else if (std::all_of(tensor.float_values().begin(), tensor.float_values().end(), is_bool)) {
    view.bools =
        storage.bools.emplace_back(tensor.float_values().begin(), tensor.float_values().end())
            .data();
    return view;
  }
  return FieldError(field, "has elements other than 0 and 1; want DATA_TYPE_BOOL elements 0 or 1");
}

}  // namespace

absl::StatusOr<TensorView> DecodeNumbers(const v1::Tensor& tensor, absl::string_view field) {
  return Decode(tensor, kNoAxis, field);
}

absl::StatusOr<TensorView> DecodePast(const v1::Tensor& tensor, absl::string_view field) {
  return Decode(tensor, tensor.shape_size() - 2, field);
}

const float* AsFloats(const TensorView& tensor, TensorStorage& storage) {
  const auto [data, type] = tensor.numbers;
  if (type == DataType::kFloat32 && reinterpret_cast<uintptr_t>(data) % alignof(float) == 0) {
    return reinterpret_cast<const float*>(data);
  }
  int64_t count = 1;
  for (const int64_t length : tensor.shape) count *= length;
  std::vector<float>& floats = storage.floats.emplace_back(count);
  ToFloat32(data, type, count, floats.data());
  if (type != DataType::kFloat64) return floats.data();
  for (int64_t i = 0; i < count; ++i) {
    double exact;
    std::memcpy(&exact, data + i * static_cast<int64_t>(sizeof(exact)), sizeof(exact));
    if (std::isinf(floats[i]) && !std::isinf(exact)) {
      floats[i] = std::copysign(std::numeric_limits<float>::max(), floats[i]);
    }
  }
  return floats.data();
}

absl::StatusOr<MaskTensorView> DecodeMask(const v1::Tensor& tensor, absl::string_view field,
                                          TensorStorage& storage) {
  if (tensor.data_type() == v1::DATA_TYPE_BOOL) return DecodeBools(tensor, field, storage);
  const absl::StatusOr<TensorView> numbers = DecodeNumbers(tensor, field);
  if (!numbers.ok()) return numbers.status();
  return MaskTensorView{
      .shape = numbers->shape, .floats = AsFloats(*numbers, storage), .bools = nullptr};
}

}  // namespace attention::rpc
