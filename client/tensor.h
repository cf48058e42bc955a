#ifndef ATTENTION_CLIENT_TENSOR_H_
#define ATTENTION_CLIENT_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attention/v1/tensor.pb.h"

// Converts between C++ arrays and v1::Tensor. Pure functions, safe from any thread.
namespace attention::client {

// A tensor of this shape, row-major, its elements as bytes of `data_type`: DATA_TYPE_FLOAT32, or
// BFLOAT16, FLOAT16 or FLOAT64, to which they are converted (narrow_floats.h). `values` must hold
// product(shape) numbers; otherwise the server refuses the call and names the tensor.
v1::Tensor MakeTensor(absl::Span<const int64_t> shape, absl::Span<const float> values,
                      v1::DataType data_type = v1::DATA_TYPE_FLOAT32);

// The same for a mask of truth values; true means that the key is seen.
v1::Tensor MakeBoolTensor(absl::Span<const int64_t> shape, absl::Span<const bool> values);

// product(shape), which is at least 1.
//
// INVALID_ARGUMENT if there are no axes, an axis is below 1, or the product does not fit an
// int64_t.
absl::StatusOr<int64_t> ElementCount(absl::Span<const int64_t> shape);

// Returns the bytes that `data` must have for the tensor's type and shape.
//
// INVALID_ARGUMENT if there is no data type, ElementCount refuses the shape, or the bytes do not
// fit an int64_t.
absl::StatusOr<size_t> ByteCount(const v1::Tensor& tensor);

// Returns the elements of a tensor of one of these four types as float32, row-major, whether they
// are in `data` or in `float_values`. Elements of a DATA_TYPE_FLOAT64 are rounded. Nothing is
// allocated before the sizes are checked, so a tensor from an untrusted source is safe to read.
//
// INVALID_ARGUMENT if the data type is another one, ElementCount refuses the shape, both or neither
// of `data` and `float_values` are set, or the number of elements is not that of the shape.
absl::StatusOr<std::vector<float>> FloatValues(const v1::Tensor& tensor);

// The same without a copy if the elements are float32 in `data`; otherwise they are converted into
// `storage`. The view is valid as long as both arguments live and are not changed.
absl::StatusOr<absl::Span<const float>> FloatView(const v1::Tensor& tensor,
                                                  std::vector<float>& storage);

// The same as FloatValues for an int32 tensor; each of its `float_values` must be a whole number.
absl::StatusOr<std::vector<int32_t>> Int32Values(const v1::Tensor& tensor);

// Returns the tensor with its elements in `data`. A tensor with `float_values` is converted, and
// fails as FloatValues and Int32Values; any other is returned unchanged.
absl::StatusOr<v1::Tensor> AsBytes(const v1::Tensor& tensor);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_TENSOR_H_
