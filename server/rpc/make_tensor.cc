#include "server/rpc/make_tensor.h"

#include <string>

namespace attention::rpc {
namespace {

v1::DataType WireType(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return v1::DATA_TYPE_FLOAT32;
    case DataType::kBfloat16:
      return v1::DATA_TYPE_BFLOAT16;
    case DataType::kFloat16:
      return v1::DATA_TYPE_FLOAT16;
    case DataType::kFloat64:
      return v1::DATA_TYPE_FLOAT64;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

}  // namespace

double Bytes(const Shape& shape, int64_t bytes_of_one) {
  auto bytes = static_cast<double>(bytes_of_one);
  for (const int64_t length : shape) bytes *= static_cast<double>(length);
  return bytes;
}

std::byte* MakeTensor(const Shape& shape, v1::DataType type, int64_t bytes_of_one,
                      v1::Tensor& tensor) {
  tensor.set_data_type(type);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  std::string& data = *tensor.mutable_data();
  data.resize(static_cast<size_t>(Bytes(shape, bytes_of_one)));
  return reinterpret_cast<std::byte*>(data.data());
}

std::byte* MakeTensor(const Shape& shape, DataType type, v1::Tensor& tensor) {
  return MakeTensor(shape, WireType(type), ByteSize(type), tensor);
}

float* MakeFloats(const Shape& shape, v1::Tensor& tensor) {
  return reinterpret_cast<float*>(MakeTensor(shape, DataType::kFloat32, tensor));
}

}  // namespace attention::rpc
