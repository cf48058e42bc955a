#ifndef ATTENTION_KERNELS_MEMORY_DATA_TYPE_H_
#define ATTENTION_KERNELS_MEMORY_DATA_TYPE_H_

#include <cstdint>

namespace attention {

// How the numbers of a tensor lie in memory. All are little-endian, and no tensor needs to be
// aligned.
enum class DataType : uint8_t {
  kFloat32,   // IEEE 754 binary32
  kBfloat16,  // the upper half of a binary32
  kFloat16,   // IEEE 754 binary16
  kFloat64,   // IEEE 754 binary64
};

// Bytes of one number.
constexpr int64_t ByteSize(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kBfloat16:
    case DataType::kFloat16:
      return 2;
    case DataType::kFloat64:
      return 8;
  }
  return 0;
}

// The precision of products (operator.md, "Numbers"). Sums and normalisation are float32 in both.
enum class ComputeType : uint8_t {
  kFloat32,
  kBfloat16,  // both factors of each product are rounded to bfloat16
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_DATA_TYPE_H_
