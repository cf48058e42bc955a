#ifndef ATTENTION_SERVER_MODELS_TENSOR_READER_H_
#define ATTENTION_SERVER_MODELS_TENSOR_READER_H_

#include <array>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/encoder/embedding.h"
#include "kernels/products/packed_weight.h"
#include "server/models/family.h"
#include "server/models/layer_config.h"
#include "server/models/safetensors.h"

namespace attention::engine {

// Small vectors of a model as float32; addresses stay while it grows.
using FloatVectors = std::deque<std::vector<float>>;

// The tensors of a list of rows, by what they are. Does not own their memory.
class TensorsByRole {
 public:
  explicit TensorsByRole(bool is_transposed) : is_transposed_(is_transposed) {}

  void Set(Role role, const VectorTable& table) { tables_[static_cast<size_t>(role)] = table; }
  void Set(Role role, const float* vector) { vectors_[static_cast<size_t>(role)] = vector; }

  // Without data, or null, where there is none.
  const VectorTable& Table(Role role) const { return tables_[static_cast<size_t>(role)]; }
  const float* Vector(Role role) const { return vectors_[static_cast<size_t>(role)]; }

  Linear LinearOf(Role weight, Role bias) const;
  // The linear layers of queries, keys and values, wherever they lie.
  Linear Query() const { return Part(0, Role::kQueryWeight, Role::kQueryBias); }
  Linear Key() const { return Part(1, Role::kKeyWeight, Role::kKeyBias); }
  Linear Value() const { return Part(2, Role::kValueWeight, Role::kValueBias); }

 private:
  Linear Part(int64_t part, Role weight, Role bias) const;

  bool is_transposed_;
  std::array<VectorTable, kRoleCount> tables_;
  std::array<const float*, kRoleCount> vectors_ = {};
};

// Finds a family's tensors and holds them against its table. The first tensor that is missing, has
// another shape or no numbers is kept in status(), and what is asked for from then on is empty: so
// a model is made of what there is, and status() is looked at once.
//
// No number is read before the tensor's shape has been found to be the one that is wanted.
class TensorReader {
 public:
  // `config` is of the family. All of them outlive the results.
  TensorReader(const Safetensors& file, const LayerConfig& config, FloatVectors& vectors);

  // What the table has once.
  TensorsByRole ReadOnce() { return Read(family_.rows, prefix_); }
  // What it has for this layer.
  TensorsByRole ReadLayer(int64_t layer) { return Read(family_.layer_rows, LayerPrefix(layer)); }
  // As many as config.json says, or where it says nothing, as there are in the file; at least 1.
  int64_t CountLayers() const;

  // 0 as long as neither config.json nor a tensor has told it.
  int64_t SizeOf(Size size) const { return sizes_[static_cast<size_t>(size)]; }
  // The name of the tensor with this role, which is among those of ReadOnce.
  std::string NameOf(Role role) const;
  // That the heads make up d_model, in a family whose heads have no width of their own.
  void CheckHeads();

  // That every tensor of the file has been read.
  void RefuseOthers();

  void Fail(absl::string_view why);
  const absl::Status& status() const { return status_; }

 private:
  using Sizes = std::array<int64_t, kSizeCount>;  // 0: not known yet

  bool Has(absl::string_view name) const;
  std::string LayerPrefix(int64_t layer) const;
  // The name of a row's tensor: its old one where the file has that.
  std::string NameOf(absl::string_view prefix, const TensorRow& row) const;
  bool HasAnyOf(Presence group, absl::Span<const TensorRow> rows, absl::string_view prefix) const;
  bool IsWanted(const TensorRow& row, absl::Span<const TensorRow> rows, absl::string_view prefix,
                bool has_row_above) const;
  TensorsByRole Read(absl::Span<const TensorRow> rows, absl::string_view prefix);
  // The tensor, if it has numbers and the shape of the row.
  const StoredTensor* Find(const std::string& name, const TensorRow& row);
  // Whether it has that shape, as far as sizes are known; then those of the row are known as well.
  bool Learn(absl::string_view name, const StoredTensor& tensor, const TensorRow& row);
  // By what the size of an axis is multiplied.
  int64_t CopiesOf(const Axis& axis) const;

  const Safetensors& file_;
  const LayerConfig& config_;
  const Family& family_;
  FloatVectors& vectors_;
  Sizes sizes_ = {};
  std::string prefix_;
  std::set<std::string> read_;
  absl::Status status_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_TENSOR_READER_H_
