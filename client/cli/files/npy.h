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

// Reads and writes NumPy's .npy format, versions 1 to 3 (numpy.lib.format, NEP 1).
namespace attention::client {

// Reads the array of a file, after which the file must end. The bytes are read directly into the
// tensor.
//
// INVALID_ARGUMENT if it is not such a file, is damaged, has a type or an order of elements that
// tensors cannot have, or has more than `most_bytes` bytes of data, none of which are then read.
// The message says how to mend the file.
absl::StatusOr<v1::Tensor> ReadNpy(ByteReader& file, uint64_t most_bytes);

// Makes the bytes of a file for a tensor piece by piece, so that they are never all in memory.
// bfloat16, which NumPy does not have, becomes float32.
class NpyPieces {
 public:
  // `tensor` must outlive the result. INVALID_ARGUMENT if its bytes do not fit its shape.
  static absl::StatusOr<NpyPieces> Of(const v1::Tensor& tensor);

  // The bytes of all pieces together.
  uint64_t bytes() const;
  // Returns the next piece, which is valid until the next call; empty if there are no more.
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
  std::vector<float> floats_;  // the piece that was returned last, if it was converted
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_NPY_H_
