#include "server/models/tensor_reader.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/simd/convert.h"
#include "server/json/quoted.h"

namespace attention::engine {
namespace {

std::string Wanted(int64_t length) { return length < 0 ? "at least 1" : absl::StrCat(length); }

}  // namespace

bool TensorReader::Has(absl::string_view name) const {
  return file_.tensors.count(std::string(name)) != 0;
}

const StoredTensor* TensorReader::Find(absl::string_view name) {
  if (!status_.ok()) return nullptr;
  const std::string full(name);
  const auto found = file_.tensors.find(full);
  if (found == file_.tensors.end()) {
    Fail(absl::StrCat(Quoted(full), " is missing"));
    return nullptr;
  }
  const StoredTensor& tensor = found->second;
  if (!tensor.data_type.has_value()) {
    Fail(absl::StrCat(Quoted(full), " has dtype ", tensor.dtype, "; want F32, BF16, F16 or F64"));
    return nullptr;
  }
  read_.insert(full);
  return &tensor;
}

VectorTable TensorReader::Table(absl::string_view name, int64_t count, int64_t width) {
  const StoredTensor* const tensor = Find(name);
  if (tensor == nullptr) return {};
  const auto& shape = tensor->shape;
  const auto fits = [](int64_t got, int64_t want) { return want < 0 ? got >= 1 : got == want; };
  if (shape.size() != 2 || !fits(shape[0], count) || !fits(shape[1], width)) {
    Fail(absl::StrCat(Quoted(name), " has shape [", absl::StrJoin(shape, ", "), "]; want [",
                      Wanted(count), ", ", Wanted(width), "]"));
    return {};
  }
  return {tensor->data.data(), *tensor->data_type, shape[0], shape[1]};
}

const float* TensorReader::Vector(absl::string_view name, int64_t size) {
  const StoredTensor* const tensor = Find(name);
  if (tensor == nullptr) return nullptr;
  bool fits = tensor->count() == size;
  for (const int64_t length : tensor->shape) fits = fits && (length == 1 || length == size);
  if (!fits) {
    Fail(absl::StrCat(Quoted(name), " has shape [", absl::StrJoin(tensor->shape, ", "), "]; want [",
                      size, "]"));
    return nullptr;
  }
  std::vector<float>& vector = vectors_.emplace_back(size);
  ToFloat32(tensor->data.data(), *tensor->data_type, size, vector.data());
  return vector.data();
}

const float* TensorReader::VectorIfAny(absl::string_view name, int64_t size) {
  return Has(name) ? Vector(name, size) : nullptr;
}

Linear TensorReader::LinearOf(absl::string_view name, int64_t in, int64_t out, bool bias) {
  return {.weight = Transposed(Table(absl::StrCat(name, ".weight"), out, in)),
          .bias = bias ? Vector(absl::StrCat(name, ".bias"), out) : nullptr};
}

LayerNorm TensorReader::NormOf(absl::string_view name, int64_t width, float epsilon, bool bias) {
  const bool old = Has(absl::StrCat(name, ".gamma"));
  return {.gamma = Vector(absl::StrCat(name, old ? ".gamma" : ".weight"), width),
          .beta = bias ? Vector(absl::StrCat(name, old ? ".beta" : ".bias"), width)
                       : vectors_.emplace_back(width).data(),
          .epsilon = epsilon};
}

void TensorReader::RefuseOthers() {
  for (const auto& [name, tensor] : file_.tensors) {
    if (read_.count(name) == 0) Fail(absl::StrCat(Quoted(name), " is none of this format's"));
  }
}

void TensorReader::Fail(absl::string_view why) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat("tensor ", why));
}

VectorTable RowsOf(const VectorTable& table, int64_t first, int64_t count) {
  if (table.data == nullptr) return {};
  const auto* const data = static_cast<const char*>(table.data);
  return {data + first * table.width * ByteSize(table.type), table.type, count, table.width};
}

WeightView Transposed(const VectorTable& table) {
  return {.data = table.data,
          .type = table.type,
          .in = table.width,
          .out = table.count,
          .transposed = true};
}

}  // namespace attention::engine
