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
// JSON header, that header, the tensors' bytes.
namespace attention::client {

// One tensor of a file; `name` may be empty where it is the only one. Reads the header and that
// tensor alone, straight into the result. Fails as ReadArray.
absl::StatusOr<v1::Tensor> ReadSafetensor(FileReader& file, const std::string& name,
                                          uint64_t most_bytes);

// What a file that holds these tensors begins with; their bytes follow, one tensor's behind the
// other's. INVALID_ARGUMENT: bytes that are not what a shape says, or a name that stands twice.
absl::StatusOr<std::string> SafetensorsHeader(absl::Span<const NamedTensor> tensors);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_SAFETENSORS_FILE_H_
