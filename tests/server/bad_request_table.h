#ifndef ATTENTION_TESTS_SERVER_BAD_REQUEST_TABLE_H_
#define ATTENTION_TESTS_SERVER_BAD_REQUEST_TABLE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "attention/v1/attention_service.pb.h"
#include "client/tensor.h"

namespace attention {

// A request that must be refused with INVALID_ARGUMENT.
struct BadRequest {
  std::string name;
  v1::ComputeAttentionRequest request;
  std::string field;     // the first field that is wrong
  std::string got_want;  // what the message must contain
};

std::vector<BadRequest> BadTensors();
std::vector<BadRequest> BadSources();
std::vector<BadRequest> BadSettings();
std::vector<BadRequest> BadLengths();
std::vector<BadRequest> BadOperatorSettings();

// A float32 tensor of ones.
inline v1::Tensor Ones(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t length : shape) count *= length;
  return client::MakeTensor(shape, std::vector<float>(count, 1.0f));
}

// A float32 tensor's shape with nothing behind it.
inline v1::Tensor Shaped(const std::vector<int64_t>& shape) {
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  return tensor;
}

// Self-attention without learned weights.
inline v1::ComputeAttentionRequest FromTokens(const v1::Tensor& tokens) {
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = tokens;
  return request;
}

// The request with a change.
inline v1::ComputeAttentionRequest With(
    v1::ComputeAttentionRequest request,
    const std::function<void(v1::ComputeAttentionRequest&)>& change) {
  change(request);
  return request;
}

// A request that succeeds.
inline v1::ComputeAttentionRequest SimpleRequest() { return FromTokens(Ones({3, 4})); }

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_BAD_REQUEST_TABLE_H_
