#ifndef ATTENTION_SERVER_RPC_MESSAGES_DECODE_TENSOR_H_
#define ATTENTION_SERVER_RPC_MESSAGES_DECODE_TENSOR_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attention/v1/tensor.pb.h"
#include "server/engine/attention_call.h"

namespace attention::rpc {

// A float tensor of a request whose shape and elements fit together. It reads the message's own
// memory.
struct TensorView {
  absl::InlinedVector<int64_t, 4> shape;  // 1 to 4 axes, each at least 1
  engine::NumbersView numbers;            // the elements

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
};

// The same with float32 elements, or with truth values: one of the two is set.
struct MaskTensorView {
  absl::InlinedVector<int64_t, 4> shape;
  const float* floats = nullptr;
  const uint8_t* bools = nullptr;  // each 0 or 1
};

// Elements that could not be read in place: of another type than is wanted, lying askew, truth
// values given as numbers. References to what it holds stay valid while it grows.
struct TensorStorage {
  std::deque<std::vector<float>> floats;
  std::deque<std::vector<uint8_t>> bools;
};

// Decodes a float tensor: DATA_TYPE_FLOAT32, BFLOAT16, FLOAT16 or FLOAT64. `field` is its path from
// the request. `tensor` must outlive the result. Refuses, with FieldError: another or an unknown
// data type; no axis, more than 4, one below 1, or a product over 2^62; both `data` and
// `float_values`; as many bytes or values as the shape does not say. Copies nothing.
absl::StatusOr<TensorView> DecodeNumbers(const v1::Tensor& tensor, absl::string_view field);

// The same, but the axis next to the last may be 0: a past that is still empty.
absl::StatusOr<TensorView> DecodePast(const v1::Tensor& tensor, absl::string_view field);

// The elements of a tensor that DecodeNumbers returned, as float32, read in place where they are
// that already. A finite number stays finite: one beyond float32 becomes its largest.
const float* AsFloats(const TensorView& tensor, TensorStorage& storage);

// Decodes a mask: a float tensor as above, or DATA_TYPE_BOOL, whose elements must be 0 or 1.
absl::StatusOr<MaskTensorView> DecodeMask(const v1::Tensor& tensor, absl::string_view field,
                                          TensorStorage& storage);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_DECODE_TENSOR_H_
