#include "server/models/tensor_reader.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "kernels/simd/convert.h"
#include "server/json/quoted.h"

namespace attention::engine {
namespace {

constexpr char kLayerNumber[] = "{layer}";

// Rows [first, first + count) of a table.
VectorTable RowsOf(const VectorTable& table, int64_t first, int64_t count) {
  const auto* const data = static_cast<const char*>(table.data);
  return {data + first * table.width * ByteSize(table.type), table.type, count, table.width};
}

// A table [out, in] or [in, out] as the weight of a linear layer.
WeightView WeightOf(const VectorTable& table, bool is_transposed) {
  return {.data = table.data,
          .type = table.type,
          .in = is_transposed ? table.width : table.count,
          .out = is_transposed ? table.count : table.width,
          .transposed = is_transposed};
}

// The length of an axis whose size may not be known yet.
std::string Wanted(int64_t copies, int64_t size) {
  if (size > 0) return absl::StrCat(copies * size);
  return copies == 1 ? "at least 1" : absl::StrCat("a multiple of ", copies);
}

// The axes that are left of a vector's shape without those of length 1, of which it may have any.
std::vector<int64_t> WithoutOnes(std::vector<int64_t> shape) {
  shape.erase(std::remove(shape.begin(), shape.end(), 1), shape.end());
  if (shape.empty()) shape.push_back(1);
  return shape;
}

}  // namespace

Linear TensorsByRole::LinearOf(Role weight, Role bias) const {
  return {.weight = WeightOf(Table(weight), is_transposed_), .bias = Vector(bias)};
}

Linear TensorsByRole::Part(int64_t part, Role weight, Role bias) const {
  Linear linear = LinearOf(weight, bias);
  if (const VectorTable& fused = Table(Role::kQkvWeight); fused.data != nullptr) {
    const int64_t rows = fused.count / 3;
    linear.weight = WeightOf(RowsOf(fused, part * rows, rows), is_transposed_);
  }
  if (const float* const fused = Vector(Role::kQkvBias); fused != nullptr) {
    linear.bias = fused + part * linear.weight.out;
  }
  return linear;
}

TensorReader::TensorReader(const Safetensors& file, const LayerConfig& config,
                           FloatVectors& vectors)
    : file_(file), config_(config), family_(*config.family), vectors_(vectors) {
  const auto set = [&](Size size, int64_t value) { sizes_[static_cast<size_t>(size)] = value; };
  set(Size::kNumHeads, config.num_heads);
  set(Size::kNumKvHeads, config.num_kv_heads);
  set(Size::kDModel, config.d_model);
  set(Size::kFfnDim, config.ffn_dim);
  for (const char* const prefix : family_.prefixes) {
    if (!Has(absl::StrCat(prefix, family_.rows[0].name))) continue;
    prefix_ = prefix;
    break;
  }
}

int64_t TensorReader::CountLayers() const {
  if (config_.num_layers > 0) return config_.num_layers;
  if (!absl::StrContains(family_.layer_prefix, kLayerNumber)) return 1;
  int64_t count = 0;
  while (Has(NameOf(LayerPrefix(count), family_.layer_rows[0]))) ++count;
  return std::max<int64_t>(1, count);
}

std::string TensorReader::NameOf(Role role) const {
  const auto row =
      absl::c_find_if(family_.rows, [&](const TensorRow& r) { return r.role == role; });
  return NameOf(prefix_, *row);
}

void TensorReader::CheckHeads() {
  const int64_t d = SizeOf(Size::kDModel), heads = SizeOf(Size::kNumHeads);
  if (SizeOf(Size::kHeadDim) != 0 || d % heads == 0) return;
  Fail(absl::StrCat("rows are ", d, " wide; want a multiple of num_heads = ", heads));
}

void TensorReader::RefuseOthers() {
  for (const auto& [name, tensor] : file_.tensors) {
    if (read_.count(name) == 0) Fail(absl::StrCat(Quoted(name), " is none of this format's"));
  }
}

void TensorReader::Fail(absl::string_view why) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat("tensor ", why));
}

bool TensorReader::Has(absl::string_view name) const {
  return file_.tensors.count(std::string(name)) != 0;
}

std::string TensorReader::LayerPrefix(int64_t layer) const {
  return absl::StrCat(
      prefix_, absl::StrReplaceAll(family_.layer_prefix, {{kLayerNumber, absl::StrCat(layer)}}));
}

std::string TensorReader::NameOf(absl::string_view prefix, const TensorRow& row) const {
  std::string name = absl::StrCat(prefix, row.name);
  for (const OldName& renamed : family_.old_names) {
    absl::string_view stem = name;
    if (!absl::ConsumeSuffix(&stem, renamed.now)) continue;
    if (std::string old = absl::StrCat(stem, renamed.old); Has(old)) return old;
  }
  return name;
}

bool TensorReader::HasAnyOf(Presence group, absl::Span<const TensorRow> rows,
                            absl::string_view prefix) const {
  return absl::c_any_of(rows, [&](const TensorRow& row) {
    return row.presence == group && Has(NameOf(prefix, row));
  });
}

bool TensorReader::IsWanted(const TensorRow& row, absl::Span<const TensorRow> rows,
                            absl::string_view prefix, bool has_row_above) const {
  bool wanted = true;
  switch (row.presence) {
    case Presence::kRequired:
      break;
    case Presence::kOptional:
      wanted = Has(NameOf(prefix, row));
      break;
    case Presence::kOptionalBias:
      wanted = has_row_above && Has(NameOf(prefix, row));
      break;
    case Presence::kBiases:
    case Presence::kExtraKeys:
    case Presence::kFused:
      wanted = HasAnyOf(row.presence, rows, prefix);
      break;
    case Presence::kSeparate:
      wanted = !HasAnyOf(Presence::kFused, rows, prefix);
      break;
    case Presence::kLearnedPositions:
      wanted = config_.positions.has_value() ? config_.positions == PositionKind::kLearned
                                             : Has(NameOf(prefix, row));
      break;
  }
  return wanted;
}

TensorsByRole TensorReader::Read(absl::Span<const TensorRow> rows, absl::string_view prefix) {
  TensorsByRole tensors(family_.is_transposed);
  bool has_row_above = false;
  for (const TensorRow& row : rows) {
    has_row_above = IsWanted(row, rows, prefix, has_row_above);
    if (!has_row_above || !status_.ok()) continue;
    const StoredTensor* const tensor = Find(NameOf(prefix, row), row);
    if (tensor == nullptr) continue;
    if (row.is_vector()) {
      std::vector<float>& vector = vectors_.emplace_back(tensor->count());
      ToFloat32(tensor->data.data(), *tensor->data_type, tensor->count(), vector.data());
      tensors.Set(row.role, vector.data());
    } else {
      tensors.Set(row.role, VectorTable{tensor->data.data(), *tensor->data_type, tensor->shape[0],
                                        tensor->shape[1]});
    }
  }
  return tensors;
}

const StoredTensor* TensorReader::Find(const std::string& name, const TensorRow& row) {
  const auto found = file_.tensors.find(name);
  if (found == file_.tensors.end()) {
    Fail(absl::StrCat(Quoted(name), " is missing"));
    return nullptr;
  }
  const StoredTensor& tensor = found->second;
  if (!tensor.data_type.has_value()) {
    Fail(absl::StrCat(Quoted(name), " has dtype ", tensor.dtype, "; want F32, BF16, F16 or F64"));
    return nullptr;
  }
  read_.insert(name);
  return Learn(name, tensor, row) ? &tensor : nullptr;
}

bool TensorReader::Learn(absl::string_view name, const StoredTensor& tensor, const TensorRow& row) {
  const std::vector<int64_t> shape = row.is_vector() ? WithoutOnes(tensor.shape) : tensor.shape;
  const size_t axes = row.is_vector() ? 1 : 2;
  Sizes sizes = sizes_;
  std::vector<std::string> wanted;
  // An axis of length 0 fits nothing, and what stands beside it may be any number.
  bool fits = shape.size() == axes && absl::c_all_of(shape, [](int64_t n) { return n >= 1; });
  for (size_t i = 0; i < axes; ++i) {
    const Axis& axis = row.shape[i];
    const int64_t copies = CopiesOf(axis);
    int64_t& size = sizes[static_cast<size_t>(axis.size)];
    wanted.push_back(Wanted(copies, size));
    if (!fits) continue;
    if (size == 0 && axis.heads != Size::kNone && shape[i] % copies != 0) {
      Fail(absl::StrCat(Quoted(name), " is ", shape[i], " wide; want a multiple of ", copies,
                        " heads"));
    }
    if (size == 0) size = shape[i] / copies;
    fits = shape[i] == copies * size;
  }
  if (fits) {
    sizes_ = sizes;
  } else {
    Fail(absl::StrCat(Quoted(name), " has shape [", absl::StrJoin(tensor.shape, ", "), "]; want [",
                      absl::StrJoin(wanted, ", "), "]"));
  }
  return fits;
}

int64_t TensorReader::CopiesOf(const Axis& axis) const {
  return axis.heads == Size::kNone ? axis.copies : axis.copies * SizeOf(axis.heads);
}

}  // namespace attention::engine
