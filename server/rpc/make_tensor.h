#ifndef ATTENTION_SERVER_RPC_MAKE_TENSOR_H_
#define ATTENTION_SERVER_RPC_MAKE_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "attention/v1/tensor.pb.h"
#include "kernels/data_type.h"

// Tensors of a response.
namespace attention::rpc {

using Shape = std::vector<int64_t>;

// The product of the shape and `bytes_of_one`. A double, which does not overflow.
double Bytes(const Shape& shape, int64_t bytes_of_one);

// Gives `tensor` this shape and type and room for its elements, which is returned.
std::byte* MakeTensor(const Shape& shape, v1::DataType type, int64_t bytes_of_one,
                      v1::Tensor& tensor);
std::byte* MakeTensor(const Shape& shape, DataType type, v1::Tensor& tensor);
float* MakeFloats(const Shape& shape, v1::Tensor& tensor);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MAKE_TENSOR_H_
