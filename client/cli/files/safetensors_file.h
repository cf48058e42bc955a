#ifndef ATTENTION_CLIENT_CLI_FILES_SAFETENSORS_FILE_H_
#define ATTENTION_CLIENT_CLI_FILES_SAFETENSORS_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/cli/files/array_file.h"
#include "client/cli/files/byte_reader.h"

// The safetensors format (https://github.com/huggingface/safetensors): 8 bytes with the length of a
// JSON header, the header, and the bytes of the tensors.
namespace attention::client {

// Reads one tensor of a file; `name` may be empty if it is the only one. Only the header and this
// tensor are read, directly into the result. Fails as ReadArray.
absl::StatusOr<v1::Tensor> ReadSafetensor(FileReader& file, const std::string& name,
                                          uint64_t most_bytes);

// Returns the beginning of a file that holds these tensors; their bytes follow it, one tensor after
// another. INVALID_ARGUMENT if the bytes of a tensor do not fit its shape, or a name stands twice.
absl::StatusOr<std::string> SafetensorsHeader(absl::Span<const NamedTensor> tensors);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_SAFETENSORS_FILE_H_
