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

// Arrays in the files of NumPy (.npy, and .npz, an archive of those) and of safetensors.
namespace attention::client {

// Reads the array that `reference` names:
//   tokens.npy
//   layer.npz:q_proj, model.safetensors:encoder.q_proj    one of the arrays in the file; the name
//                                                         may be left out where there is but one
// float32, float64, float16, bfloat16 (of NumPy: its two bytes without a type of their own, as
// ml_dtypes saves them), bool and int32, little-endian, row-major.
//
// The bytes are read straight into the tensor, so they are in memory once.
//
// NOT_FOUND: no such file, or none of that name in it (the message lists those that are there).
// INVALID_ARGUMENT: another ending or type, more than `most_bytes` bytes (of which none are then
// read), a damaged file, one that was written to in the meantime, a folder, a pipe or a device.
absl::StatusOr<v1::Tensor> ReadArray(const std::string& reference,
                                     uint64_t most_bytes = kMostMessageBytes);

// What is to be said where a file holds `names`, but not `name`, or several where no name is given.
absl::Status NoSuchArray(const std::string& name, std::vector<std::string> names);

// What is to be said of an array of `bytes` bytes where there is room for `most_bytes`.
absl::Status TooLargeForMessage(uint64_t bytes, uint64_t most_bytes);

// A tensor that somebody else owns, and its name.
struct NamedTensor {
  std::string name;
  const v1::Tensor* tensor;
};

// INVALID_ARGUMENT: a path whose ending WriteArrays does not know. For those who compute first.
absl::Status CheckArrayPath(const std::string& path);

// Writes them to a file as its ending says; a .npy takes one. Their bytes go straight to the file.
// In NumPy's files bfloat16, which NumPy does not have, becomes float32.
//
// INVALID_ARGUMENT: another ending, several tensors for a .npy, a file that cannot be written, a
// tensor whose bytes are not what its shape says.
absl::Status WriteArrays(const std::string& path, absl::Span<const NamedTensor> tensors);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_ARRAY_FILE_H_
