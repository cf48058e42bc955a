#include "server/rpc/messages/make_tensor.h"

#include <cstring>
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

std::byte* MakeRoomIn(const Shape& shape, v1::DataType type, int64_t bytes_of_one, ResultForm form,
                      v1::Tensor& tensor) {
  tensor.set_data_type(type);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  if (form == ResultForm::kFloatValues) {
    google::protobuf::RepeatedField<float>& values = *tensor.mutable_float_values();
    values.Resize(static_cast<int>(Bytes(shape, 1)), 0.0f);
    return reinterpret_cast<std::byte*>(values.mutable_data());
  }
  std::string& data = *tensor.mutable_data();
  data.resize(static_cast<size_t>(Bytes(shape, bytes_of_one)));
  return reinterpret_cast<std::byte*>(data.data());
}

}  // namespace

double Bytes(const Shape& shape, int64_t bytes_of_one) {
  auto bytes = static_cast<double>(bytes_of_one);
  for (const int64_t length : shape) bytes *= static_cast<double>(length);
  return bytes;
}

std::byte* MakeTensor(const Shape& shape, DataType type, ResultForm form, v1::Tensor& tensor) {
  return MakeRoomIn(shape, WireType(type), ByteSize(type), form, tensor);
}

float* MakeFloats(const Shape& shape, ResultForm form, v1::Tensor& tensor) {
  return reinterpret_cast<float*>(MakeTensor(shape, DataType::kFloat32, form, tensor));
}

int32_t* MakeIndices(const Shape& shape, ResultForm form, v1::Tensor& tensor) {
  return reinterpret_cast<int32_t*>(
      MakeRoomIn(shape, v1::DATA_TYPE_INT32, sizeof(int32_t), form, tensor));
}

void IndicesToFloats(v1::Tensor& tensor) {
  for (float& value : *tensor.mutable_float_values()) {
    int32_t index = 0;
    std::memcpy(&index, &value, sizeof(index));
    value = static_cast<float>(index);
  }
}

}  // namespace attention::rpc
