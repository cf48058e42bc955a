#include "server/rpc/encode_response.h"

#include <vector>

namespace attention::rpc {
namespace {

using Shape = std::vector<int64_t>;

// The shape of each result, in the order of attention_service.proto.
struct ResultShapes {
  explicit ResultShapes(const DecodedRequest& decoded)
      : output(decoded.output_shape), s(decoded.call.shape), k(decoded.top_k) {}

  const Shape& output;
  const engine::CallShape& s;
  int64_t k;

  Shape PerKey() const { return {s.batch, s.num_heads, s.q_len, s.kv_len}; }
  Shape Query() const { return {s.batch, s.num_heads, s.q_len, s.head_dim}; }
  Shape Key() const { return {s.batch, s.num_kv_heads, s.kv_len, s.head_dim}; }
  Shape Value() const { return {s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim}; }
  Shape WeightedValues() const { return {s.batch, s.num_heads, s.kv_len, s.q_len, s.v_head_dim}; }
  Shape TopKeys() const { return {s.batch, s.num_heads, s.q_len, k}; }
  Shape PerRow() const { return {s.batch, s.num_heads, s.q_len}; }
};

// Every element that is returned takes 4 bytes: float32 or int32.
double Bytes(const Shape& shape) {
  double bytes = 4;
  for (const int64_t length : shape) bytes *= static_cast<double>(length);
  return bytes;
}

template <typename T>
T* MakeTensor(const Shape& shape, v1::DataType type, v1::Tensor& tensor) {
  tensor.set_data_type(type);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  std::string& data = *tensor.mutable_data();
  data.resize(static_cast<size_t>(Bytes(shape)));
  return reinterpret_cast<T*>(data.data());
}

float* MakeFloats(const Shape& shape, v1::Tensor& tensor) {
  return MakeTensor<float>(shape, v1::DATA_TYPE_FLOAT32, tensor);
}

// A view of the output as the heads of the attention operator. Behind an output projection only the
// memory counts.
engine::MutableBatchView OutputView(float* data, const DecodedRequest& decoded) {
  const engine::CallShape& s = decoded.call.shape;
  if (decoded.output_shape.size() == 4) {
    return engine::HeadMajorBatch(data, s.q_len, s.num_heads, s.v_head_dim);
  }
  return engine::TokenMajorBatch(data, s.q_len, s.num_heads, s.v_head_dim);
}

}  // namespace

double ResponseBytes(const DecodedRequest& decoded) {
  const ResultShapes shapes(decoded);
  const engine::WantedResults& wanted = decoded.call.wanted;
  const auto bytes = [](bool is_wanted, const Shape& shape) {
    return is_wanted ? Bytes(shape) : 0.0;
  };
  return bytes(wanted.output, shapes.output) + bytes(wanted.attention_scores, shapes.PerKey()) +
         bytes(wanted.attention_weights, shapes.PerKey()) + bytes(wanted.query, shapes.Query()) +
         bytes(wanted.key, shapes.Key()) + bytes(wanted.value, shapes.Value()) +
         bytes(wanted.weighted_values, shapes.WeightedValues()) +
         2 * bytes(wanted.top_keys, shapes.TopKeys()) + bytes(wanted.log_sum_exp, shapes.PerRow());
}

void MakeRoom(DecodedRequest& decoded, v1::ComputeAttentionResponse& response) {
  const ResultShapes shapes(decoded);
  const engine::WantedResults& wanted = decoded.call.wanted;
  engine::CallOutputs& to = decoded.call.outputs;
  if (wanted.output) {
    to.output = OutputView(MakeFloats(shapes.output, *response.mutable_output()), decoded);
  }
  if (wanted.attention_scores) {
    to.attention_scores = MakeFloats(shapes.PerKey(), *response.mutable_attention_scores());
  }
  if (wanted.attention_weights) {
    to.attention_weights = MakeFloats(shapes.PerKey(), *response.mutable_attention_weights());
  }
  if (wanted.query) to.query = MakeFloats(shapes.Query(), *response.mutable_query());
  if (wanted.key) to.key = MakeFloats(shapes.Key(), *response.mutable_key());
  if (wanted.value) to.value = MakeFloats(shapes.Value(), *response.mutable_value());
  if (wanted.weighted_values) {
    to.weighted_values = MakeFloats(shapes.WeightedValues(), *response.mutable_weighted_values());
  }
  if (wanted.top_keys) {
    v1::TopKeys& top_keys = *response.mutable_top_keys();
    to.top_k = decoded.top_k;
    to.top_indices =
        MakeTensor<int32_t>(shapes.TopKeys(), v1::DATA_TYPE_INT32, *top_keys.mutable_indices());
    to.top_weights = MakeFloats(shapes.TopKeys(), *top_keys.mutable_attention_weights());
  }
  if (wanted.log_sum_exp) {
    to.log_sum_exp = MakeFloats(shapes.PerRow(), *response.mutable_log_sum_exp());
  }
}

}  // namespace attention::rpc
