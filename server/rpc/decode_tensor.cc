#include "server/rpc/decode_tensor.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/rpc/field_error.h"

namespace attention::rpc {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are little-endian on the wire and read in place");

constexpr int kMaxRank = 4;
constexpr int64_t kMaxElements = int64_t{1} << 62;

// The number of elements that the shape says.
absl::StatusOr<int64_t> ElementCount(const v1::Tensor& tensor, absl::string_view field) {
  const std::string shape_field = absl::StrCat(field, ".shape");
  if (tensor.shape().empty() || tensor.shape_size() > kMaxRank) {
    return FieldError(shape_field,
                      absl::StrCat("has ", tensor.shape_size(), " axes; want 1 to ", kMaxRank));
  }
  int64_t count = 1;
  for (int axis = 0; axis < tensor.shape_size(); ++axis) {
    const int64_t length = tensor.shape(axis);
    if (length < 1) {
      return FieldError(shape_field,
                        absl::StrCat("is ", ShapeText(tensor.shape()), ", with ", length,
                                     " on axis ", axis, "; want at least 1 on every axis"));
    }
    if (length > kMaxElements / count) {
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

TensorView ViewWithShape(const v1::Tensor& tensor) {
  TensorView view;
  view.shape.assign(tensor.shape().begin(), tensor.shape().end());
  return view;
}

absl::StatusOr<TensorView> DecodeBools(const v1::Tensor& tensor, absl::string_view field,
                                       TensorStorage& storage) {
  const absl::StatusOr<int64_t> count = ElementCount(tensor, field);
  if (!count.ok()) return count.status();
  absl::Status elements = CheckElements(tensor, *count, sizeof(uint8_t), field);
  if (!elements.ok()) return elements;
  TensorView view = ViewWithShape(tensor);
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

absl::StatusOr<TensorView> DecodeFloats(const v1::Tensor& tensor, absl::string_view field,
                                        TensorStorage& storage) {
  const bool typed_by_hand =
      tensor.data_type() == v1::DATA_TYPE_UNSPECIFIED && !tensor.float_values().empty();
  if (tensor.data_type() != v1::DATA_TYPE_FLOAT32 && !typed_by_hand) {
    const std::string& name = v1::DataType_Name(tensor.data_type());
    return FieldError(absl::StrCat(field, ".data_type"),
                      absl::StrCat("is ", name.empty() ? "unknown: " : name,
                                   name.empty() ? absl::StrCat(tensor.data_type()) : "",
                                   "; want DATA_TYPE_FLOAT32"));
  }
  const absl::StatusOr<int64_t> count = ElementCount(tensor, field);
  if (!count.ok()) return count.status();
  absl::Status elements = CheckElements(tensor, *count, sizeof(float), field);
  if (!elements.ok()) return elements;

  TensorView view = ViewWithShape(tensor);
  if (!tensor.float_values().empty()) {
    view.floats = tensor.float_values().data();
    return view;
  }
  const char* const bytes = tensor.data().data();
  if (reinterpret_cast<uintptr_t>(bytes) % alignof(float) == 0) {
    view.floats = reinterpret_cast<const float*>(bytes);
    return view;
  }
  std::vector<float>& copy = storage.floats.emplace_back(*count);
  std::memcpy(copy.data(), bytes, tensor.data().size());
  view.floats = copy.data();
  return view;
}

absl::StatusOr<TensorView> DecodeMask(const v1::Tensor& tensor, absl::string_view field,
                                      TensorStorage& storage) {
  if (tensor.data_type() == v1::DATA_TYPE_BOOL) return DecodeBools(tensor, field, storage);
  return DecodeFloats(tensor, field, storage);
}

}  // namespace attention::rpc
