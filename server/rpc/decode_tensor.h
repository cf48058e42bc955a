#ifndef ATTENTION_SERVER_RPC_DECODE_TENSOR_H_
#define ATTENTION_SERVER_RPC_DECODE_TENSOR_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attention/v1/tensor.pb.h"

namespace attention::rpc {

// A tensor of a request whose shape and elements fit together. It reads the message's own memory.
struct TensorView {
  absl::InlinedVector<int64_t, 4> shape;  // 1 to 4 axes, each at least 1
  const float* floats = nullptr;          // the elements, DATA_TYPE_FLOAT32
  const uint8_t* bools = nullptr;         // the elements, DATA_TYPE_BOOL, each 0 or 1

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
};

// Elements that could not be read in place: bytes that lie askew, truth values given as numbers.
// References to what it holds stay valid while it grows.
struct TensorStorage {
  std::deque<std::vector<float>> floats;
  std::deque<std::vector<uint8_t>> bools;
};

// Decodes a DATA_TYPE_FLOAT32 tensor. `field` is its path from the request. `tensor` and `storage`
// must outlive the result. Refuses, with FieldError: another or an unknown data type; no axis, more
// than 4, one below 1, or a product over 2^62; both `data` and `float_values`; as many bytes or
// values as the shape does not say. Copies nothing, unless the bytes are not aligned to 4.
absl::StatusOr<TensorView> DecodeFloats(const v1::Tensor& tensor, absl::string_view field,
                                        TensorStorage& storage);

// Decodes a mask: DATA_TYPE_FLOAT32 as above or DATA_TYPE_BOOL, whose elements must be 0 or 1.
absl::StatusOr<TensorView> DecodeMask(const v1::Tensor& tensor, absl::string_view field,
                                      TensorStorage& storage);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_DECODE_TENSOR_H_
