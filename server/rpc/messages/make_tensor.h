#ifndef ATTENTION_SERVER_RPC_MESSAGES_MAKE_TENSOR_H_
#define ATTENTION_SERVER_RPC_MESSAGES_MAKE_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "attention/v1/tensor.pb.h"
#include "kernels/memory/data_type.h"

// Tensors of a response.
namespace attention::rpc {

using Shape = std::vector<int64_t>;

// The product of the shape and `bytes_of_one`. A double, which does not overflow.
double Bytes(const Shape& shape, int64_t bytes_of_one);

// Which of its two fields a tensor of a response holds its elements in.
enum class ResultForm : uint8_t {
  kBytes,        // `data`
  kFloatValues,  // `float_values`; for elements of 4 bytes alone
};

// Gives `tensor` this shape and type and room for its elements, which is returned.
std::byte* MakeTensor(const Shape& shape, DataType type, ResultForm form, v1::Tensor& tensor);
float* MakeFloats(const Shape& shape, ResultForm form, v1::Tensor& tensor);
// As kFloatValues the elements are the bits of integers until IndicesToFloats.
int32_t* MakeIndices(const Shape& shape, ResultForm form, v1::Tensor& tensor);

// Makes numbers of the elements of a tensor of MakeIndices, kFloatValues, where they lie. Exact up
// to kMostExactIndex. Allocates nothing.
void IndicesToFloats(v1::Tensor& tensor);
constexpr int64_t kMostExactIndex = int64_t{1} << 24;

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_MAKE_TENSOR_H_
