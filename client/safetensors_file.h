#ifndef ATTENTION_CLIENT_SAFETENSORS_FILE_H_
#define ATTENTION_CLIENT_SAFETENSORS_FILE_H_

#include <istream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/array_file.h"

// The safetensors format (https://github.com/huggingface/safetensors): 8 bytes with the length of a
// JSON header, that header, the tensors' bytes.
namespace attention::client {

// One tensor of the file at `path`; `name` may be empty where it is the only one. Reads the header
// and that tensor alone. Fails as ReadArray.
absl::StatusOr<v1::Tensor> ReadSafetensor(const std::string& path, const std::string& name);
// The same of a file that is open, or is in memory.
absl::StatusOr<v1::Tensor> ReadSafetensor(std::istream& file, const std::string& name);

// The bytes of a file that holds them. INVALID_ARGUMENT: bytes that are not what a shape says, or a
// name that stands twice.
absl::StatusOr<std::string> SafetensorsFrom(absl::Span<const NamedTensor> tensors);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_SAFETENSORS_FILE_H_
