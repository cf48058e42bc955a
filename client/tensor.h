#ifndef ATTENTION_CLIENT_TENSOR_H_
#define ATTENTION_CLIENT_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attention/v1/tensor.pb.h"

// Between C++ arrays and v1::Tensor. Pure functions, safe from any thread.
namespace attention::client {

// A tensor of this shape, row-major, its elements as bytes of `data_type`: DATA_TYPE_FLOAT32, or
// BFLOAT16, FLOAT16 or FLOAT64, to which they are converted (narrow_floats.h). `values` holds
// product(shape) numbers; where it does not, the server refuses the call and says which tensor it
// was.
v1::Tensor MakeTensor(absl::Span<const int64_t> shape, absl::Span<const float> values,
                      v1::DataType data_type = v1::DATA_TYPE_FLOAT32);

// The same for a mask of truth values: true attends.
v1::Tensor MakeBoolTensor(absl::Span<const int64_t> shape, absl::Span<const bool> values);

// product(shape), which is at least 1.
//
// INVALID_ARGUMENT: no axes, an axis below 1, or a product that does not fit an int64_t.
absl::StatusOr<int64_t> ElementCount(absl::Span<const int64_t> shape);

// How many bytes of `data` the tensor's type and shape want.
//
// INVALID_ARGUMENT: no data type, a shape that ElementCount refuses, or more than fit an int64_t.
absl::StatusOr<size_t> ByteCount(const v1::Tensor& tensor);

// The elements of a tensor of one of these four types as float32, row-major, whether they came as
// `data` or as `float_values`; those of a DATA_TYPE_FLOAT64 are rounded. Nothing is allocated
// before the sizes agree, so a tensor from a stranger is safe to read.
//
// INVALID_ARGUMENT: another data type, a shape that ElementCount refuses, both or neither of `data`
// and `float_values`, or another number of elements than the shape says.
absl::StatusOr<std::vector<float>> FloatValues(const v1::Tensor& tensor);

// The same without a copy where they came as float32 in `data`; others are converted into
// `storage`. Valid as long as both arguments are, and are not changed.
absl::StatusOr<absl::Span<const float>> FloatView(const v1::Tensor& tensor,
                                                  std::vector<float>& storage);

// The same as FloatValues for an int32 tensor; each of its `float_values` must be a whole number.
absl::StatusOr<std::vector<int32_t>> Int32Values(const v1::Tensor& tensor);

// The tensor with its elements as `data`, whichever way it came. INVALID_ARGUMENT as FloatValues
// and Int32Values where it came as `float_values`; else it is returned as it is.
absl::StatusOr<v1::Tensor> AsBytes(const v1::Tensor& tensor);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_TENSOR_H_
