#ifndef ATTENTION_CLIENT_CLI_FILES_NPY_H_
#define ATTENTION_CLIENT_CLI_FILES_NPY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attention/v1/tensor.pb.h"
#include "client/cli/files/byte_reader.h"

// NumPy's .npy format, versions 1 to 3 (numpy.lib.format, NEP 1).
namespace attention::client {

// The array in a file, which must have nothing behind it. Its bytes are read straight into the
// tensor.
//
// INVALID_ARGUMENT: it is no such file, is damaged, has a type or an order of elements that tensors
// do not, or more than `most_bytes` bytes of data, none of which is then read; the message says how
// to mend it.
absl::StatusOr<v1::Tensor> ReadNpy(ByteReader& file, uint64_t most_bytes);

// The bytes of the file that holds a tensor, piece by piece, so that they are never in memory as a
// whole. bfloat16, which NumPy does not have, becomes float32.
class NpyPieces {
 public:
  // `tensor` must outlive the result. INVALID_ARGUMENT: its bytes are not what its shape says.
  static absl::StatusOr<NpyPieces> Of(const v1::Tensor& tensor);

  // Of all pieces together.
  uint64_t bytes() const;
  // The next piece, which is valid until the next call; empty: there are no more.
  absl::string_view Next();
  // Makes the first piece the next one again.
  void Rewind();

 private:
  NpyPieces(const v1::Tensor& tensor, std::string header)
      : tensor_(&tensor), header_(std::move(header)) {}

  const v1::Tensor* tensor_;
  std::string header_;
  bool header_given_ = false;
  size_t position_ = 0;        // in the tensor's data
  std::vector<float> floats_;  // the piece that was given, where it had to be converted
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_NPY_H_
