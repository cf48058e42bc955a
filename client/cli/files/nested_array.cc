#include "client/cli/files/nested_array.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

using Json = nlohmann::json;

std::optional<double> NumberInString(const std::string& text) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (text == "inf" || text == "Infinity") return kInfinity;
  if (text == "-inf" || text == "-Infinity") return -kInfinity;
  if (text == "nan" || text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  return std::nullopt;
}

// Names the kind of a value for messages, such as "a number" or "an array of 3".
std::string Kind(const Json& value) {
  if (value.is_array()) return absl::StrCat("an array of ", value.size());
  if (value.is_null()) return "null";
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number()) return "a number";
  if (value.is_object()) return "an object";
  return absl::StrCat("\"", value.get<std::string>(), "\"");
}

// Walks through the arrays once, row by row. The first element of each level determines the form of
// the others.
class Flattener {
 public:
  Flattener(const Json& array, const std::string& path) : path_(path) {
    const Json* level = &array;
    for (; level->is_array() && !level->empty(); level = &level->front()) {
      shape_.push_back(static_cast<int64_t>(level->size()));
    }
    is_bool_ = level->is_boolean();
  }

  absl::StatusOr<v1::Tensor> Flatten(const Json& array) {
    if (absl::Status status = Walk(array, 0); !status.ok()) return status;
    v1::Tensor tensor = MakeTensor(shape_, numbers_);
    if (is_bool_) {
      tensor.set_data_type(v1::DATA_TYPE_BOOL);
      tensor.set_data(truth_values_);
    }
    return tensor;
  }

 private:
  // `value` lies below `axis` axes. index_ has its position in each of them.
  absl::Status Walk(const Json& value, size_t axis) {
    if (value.is_array() && value.empty()) return Error("is an empty array; want numbers in it");
    if (axis == shape_.size()) return AddElement(value);
    if (!value.is_array()) {
      return Error(absl::StrCat("is ", Kind(value), "; want a row of ", shape_[axis], ", as ",
                                FirstPlace(axis), " is"));
    }
    if (static_cast<int64_t>(value.size()) != shape_[axis]) {
      return Error(absl::StrCat("has length ", value.size(), "; want ", shape_[axis], ", as ",
                                FirstPlace(axis), " has"));
    }
    index_.push_back(0);
    for (const Json& element : value) {
      if (absl::Status status = Walk(element, axis + 1); !status.ok()) return status;
      ++index_.back();
    }
    index_.pop_back();
    return absl::OkStatus();
  }

  absl::Status AddElement(const Json& value) {
    if (is_bool_) {
      if (!value.is_boolean()) {
        return Error(absl::StrCat("is ", Kind(value), "; want true or false, as ",
                                  FirstPlace(shape_.size()), " is"));
      }
      truth_values_.push_back(value.get<bool>() ? '\1' : '\0');
      return absl::OkStatus();
    }
    std::optional<double> number;
    if (value.is_number()) number = value.get<double>();
    if (value.is_string()) number = NumberInString(value.get_ref<const std::string&>());
    if (!number.has_value()) return Error(absl::StrCat("is ", Kind(value), "; want a number"));
    if (std::isfinite(*number) && std::abs(*number) > std::numeric_limits<float>::max()) {
      return Error(absl::StrCat("is ", *number, ", which float32 cannot hold; want at most ",
                                std::numeric_limits<float>::max(), " or \"inf\""));
    }
    numbers_.push_back(static_cast<float>(*number));
    return absl::OkStatus();
  }

  absl::Status Error(const std::string& what) const {
    std::string place = path_;
    for (const size_t i : index_) absl::StrAppend(&place, "[", i, "]");
    return absl::InvalidArgumentError(absl::StrCat(place, " ", what));
  }

  // The place of the element, `axes` axes down, whose form the others must have.
  std::string FirstPlace(size_t axes) const {
    std::string place = path_;
    for (size_t i = 0; i < axes; ++i) place += "[0]";
    return place;
  }

  const std::string& path_;
  std::vector<int64_t> shape_;
  bool is_bool_ = false;
  std::vector<size_t> index_;
  std::vector<float> numbers_;
  std::string truth_values_;
};

}  // namespace

absl::StatusOr<v1::Tensor> TensorFromNestedArray(const Json& array, const std::string& path) {
  return Flattener(array, path).Flatten(array);
}

}  // namespace attention::client
