#ifndef ATTENTION_SERVER_MODELS_SAFETENSORS_H_
#define ATTENTION_SERVER_MODELS_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/memory/data_type.h"

namespace attention::engine {

// One tensor of a file: dense, row-major, little-endian, any alignment.
struct StoredTensor {
  std::string dtype;                  // as the file names it, such as "F32"
  std::optional<DataType> data_type;  // null where its numbers are none that we compute with
  std::vector<int64_t> shape;         // each axis at least 0; no axis: one number
  absl::Span<const std::byte> data;   // as many bytes as dtype and shape say

  // The product of the shape.
  int64_t count() const;
};

// What a file in the safetensors format holds
// (https://github.com/huggingface/safetensors#format): 8 bytes of header length, a header of JSON,
// then the tensors' bytes, which it names by their offsets. Reads the file's own memory.
struct Safetensors {
  // No model's header comes near it; what is larger is refused before it is read.
  static constexpr int64_t kMostHeaderBytes = int64_t{64} << 20;
  static constexpr int64_t kMostTensors = 100000;
  static constexpr size_t kMostAxes = 8;
  static constexpr size_t kMostMetadata = 1000;

  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;  // the header's "__metadata__"

  // `file` is all of its bytes and outlives the result. Everything is checked: INVALID_ARGUMENT
  // where the header is longer than the file, is no JSON, or has other members than the format has;
  // for an unknown dtype, a shape whose size overflows, a tensor whose offsets lie outside of the
  // data, do not fit its shape or overlap another's, a name that stands twice; and for bytes that
  // belong to no tensor. The message names the tensor, what it got and what it wants; of a PyTorch
  // checkpoint it says how that becomes a safetensors file. Takes memory for names and shapes only.
  static absl::StatusOr<Safetensors> Parse(absl::Span<const std::byte> file);
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_SAFETENSORS_H_
