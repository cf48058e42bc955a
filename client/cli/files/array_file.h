#ifndef ATTENTION_CLIENT_CLI_FILES_ARRAY_FILE_H_
#define ATTENTION_CLIENT_CLI_FILES_ARRAY_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attention/v1/tensor.pb.h"
#include "client/channel.h"

// Reads and writes arrays in files of NumPy (.npy, and .npz, an archive of those) and of
// safetensors.
namespace attention::client {

// Reads the array that `reference` names:
//   tokens.npy
//   layer.npz:q_proj, model.safetensors:encoder.q_proj    one of the arrays in the file; the name
//                                                         may be left out where there is but one
// Types are float32, float64, float16, bfloat16, bool and int32, little-endian, row-major. NumPy
// has no type for bfloat16; it is read as two-byte elements without a type, as ml_dtypes saves it.
//
// The bytes are read directly into the tensor, so they are in memory only once.
//
// NOT_FOUND if there is no such file, or no array of that name in it (the message lists the names).
// INVALID_ARGUMENT if the ending or the type is another one, the array has more than `most_bytes`
// bytes (none are read then), the file is damaged or was written to in the meantime, or it is a
// folder, a pipe or a device.
absl::StatusOr<v1::Tensor> ReadArray(const std::string& reference,
                                     uint64_t most_bytes = kMostMessageBytes);

// The error for a file that holds `names` but not `name`, or several arrays where no name is given.
absl::Status NoSuchArray(const std::string& name, std::vector<std::string> names);

// The error for an array of `bytes` bytes where there is room for only `most_bytes`.
absl::Status TooLargeForMessage(uint64_t bytes, uint64_t most_bytes);

// A tensor, which this does not own, and its name.
struct NamedTensor {
  std::string name;
  const v1::Tensor* tensor;
};

// INVALID_ARGUMENT if WriteArrays does not know the ending of `path`. Callers use it before they
// compute the arrays.
absl::Status CheckArrayPath(const std::string& path);

// Writes the tensors to a file in the format of its ending; a .npy takes one tensor. The bytes go
// directly to the file. In files of NumPy, which has no bfloat16, bfloat16 becomes float32.
//
// INVALID_ARGUMENT if the ending is another one, there are several tensors for a .npy, the file
// cannot be written, or the bytes of a tensor do not fit its shape.
absl::Status WriteArrays(const std::string& path, absl::Span<const NamedTensor> tensors);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_ARRAY_FILE_H_
