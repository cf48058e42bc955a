#ifndef ATTENTION_SERVER_MODELS_TENSOR_READER_H_
#define ATTENTION_SERVER_MODELS_TENSOR_READER_H_

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/encoder/embedding.h"
#include "kernels/encoder/layer_norm.h"
#include "kernels/products/packed_weight.h"
#include "server/models/safetensors.h"

namespace attention::engine {

// Small vectors of a model as float32; addresses stay while it grows.
using FloatVectors = std::deque<std::vector<float>>;

// Finds a format's tensors by their names. The first tensor that is missing, has another shape or
// no numbers is kept in status(), and what is asked for from then on is empty: so a format reads
// its tensors one after the other and looks at status() once.
class TensorReader {
 public:
  // `file` and `vectors` outlive the results.
  TensorReader(const Safetensors& file, FloatVectors& vectors) : file_(file), vectors_(vectors) {}

  bool Has(absl::string_view name) const;

  // A tensor [count, width], read in place; -1: any.
  VectorTable Table(absl::string_view name, int64_t count, int64_t width);
  // A tensor of `size` numbers, whatever axes of length 1 it has beside; as float32.
  const float* Vector(absl::string_view name, int64_t size);
  // The same, or null where there is none.
  const float* VectorIfAny(absl::string_view name, int64_t size);
  // NAME.weight [out, in] and, with `bias`, NAME.bias [out].
  Linear LinearOf(absl::string_view name, int64_t in, int64_t out, bool bias);
  // NAME.weight and NAME.bias [width]; or NAME.gamma and NAME.beta, as in old files. Without `bias`
  // zeros stand for that.
  LayerNorm NormOf(absl::string_view name, int64_t width, float epsilon, bool bias);

  // That every tensor of the file has been read.
  void RefuseOthers();

  void Fail(absl::string_view why);
  const absl::Status& status() const { return status_; }

 private:
  const StoredTensor* Find(absl::string_view name);

  const Safetensors& file_;
  FloatVectors& vectors_;
  std::set<std::string> read_;
  absl::Status status_;
};

// Rows [first, first + count) of a table.
VectorTable RowsOf(const VectorTable& table, int64_t first, int64_t count);

// A table [out, in], as PyTorch stores weights, as the weight of a linear layer.
WeightView Transposed(const VectorTable& table);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_TENSOR_READER_H_
