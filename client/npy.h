#ifndef ATTENTION_CLIENT_NPY_H_
#define ATTENTION_CLIENT_NPY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attention/v1/tensor.pb.h"

// NumPy's .npy format, versions 1 to 3 (numpy.lib.format, NEP 1). Pure functions.
namespace attention::client {

// The array that the bytes of a file are. INVALID_ARGUMENT: they are no such file, are damaged, or
// have a type or an order of elements that tensors do not; the message says how to mend it.
absl::StatusOr<v1::Tensor> TensorFromNpy(absl::string_view bytes);

// The bytes of a file. bfloat16 becomes float32. INVALID_ARGUMENT: the tensor's bytes, or its
// float_values, are not what its shape says.
absl::StatusOr<std::string> NpyFromTensor(const v1::Tensor& tensor);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_NPY_H_
