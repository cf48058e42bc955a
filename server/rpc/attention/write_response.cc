#include "server/rpc/attention/write_response.h"

#include <string>
#include <vector>

#include "server/engine/call_sequences.h"
#include "server/rpc/messages/make_tensor.h"

namespace attention::rpc {
namespace {

// The shape of each result, in the order of attention_service.proto. Of a ragged batch all but the
// output lie flat, sequence after sequence.
struct ResultShapes {
  explicit ResultShapes(const DecodedRequest& decoded)
      : output(decoded.output_shape),
        call(decoded.call),
        s(decoded.call.shape),
        totals(engine::Totals(decoded.call)),
        k(decoded.top_k) {}

  const Shape& output;
  const engine::AttentionCall& call;
  const engine::CallShape& s;
  engine::SequenceOffsets totals;
  int64_t k;

  // The product, or 2^62 where that is more: no response has room for it.
  static int64_t Product(int64_t a, int64_t b, int64_t c = 1) {
    constexpr int64_t kMost = int64_t{1} << 62;
    const double product = static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
    return product < static_cast<double>(kMost) ? a * b * c : kMost;
  }
  // `per_sequence` in a batch of equal sequences, else `count` numbers.
  Shape OneOf(Shape per_sequence, int64_t count) const {
    if (call.ragged) return {count};
    per_sequence.insert(per_sequence.begin(), s.batch);
    return per_sequence;
  }
  int64_t new_keys() const { return s.kv_len - s.past_len; }

  Shape Scores() const {
    return OneOf({s.num_heads, s.q_len, s.score_len()}, Product(s.num_heads, totals.scores));
  }
  Shape Weights() const {
    return call.settings.average_weights ? OneOf({s.q_len, s.score_len()}, totals.scores)
                                         : Scores();
  }
  Shape Query() const {
    return OneOf({s.num_heads, s.q_len, s.head_dim},
                 Product(s.num_heads, totals.queries, s.head_dim));
  }
  Shape Key() const {
    return OneOf({s.num_kv_heads, new_keys(), s.head_dim},
                 Product(s.num_kv_heads, totals.current_keys, s.head_dim));
  }
  Shape Value() const {
    return OneOf({s.num_kv_heads, new_keys(), s.v_head_dim},
                 Product(s.num_kv_heads, totals.current_keys, s.v_head_dim));
  }
  Shape PresentKey() const {
    return OneOf({s.num_kv_heads, s.kv_len, s.head_dim},
                 Product(s.num_kv_heads, totals.keys, s.head_dim));
  }
  Shape PresentValue() const {
    return OneOf({s.num_kv_heads, s.kv_len, s.v_head_dim},
                 Product(s.num_kv_heads, totals.keys, s.v_head_dim));
  }
  Shape WeightedValues() const {
    return OneOf({s.num_heads, s.score_len(), s.q_len, s.v_head_dim},
                 Product(s.num_heads, totals.scores, s.v_head_dim));
  }
  Shape LogSumExp() const {
    return OneOf({s.num_heads, s.q_len}, Product(s.num_heads, totals.queries));
  }
  Shape TopKeys() const {
    if (call.ragged) return {Product(s.num_heads, totals.queries), k};
    return {s.batch, s.num_heads, s.q_len, k};
  }
};

// A view of the output as the heads of the attention operator. Behind an output projection only the
// memory counts.
engine::MutableBatchView OutputView(std::byte* data, const DecodedRequest& decoded) {
  const engine::CallShape& s = decoded.call.shape;
  const DataType type = decoded.call.types.result;
  if (decoded.output_shape.size() == 4) {
    return engine::HeadMajorBatch(data, type, s.q_len, s.num_heads, s.v_head_dim);
  }
  return engine::TokenMajorBatch(data, type, s.num_heads, s.v_head_dim);
}

}  // namespace

double ResponseBytes(const DecodedRequest& decoded) {
  const ResultShapes shapes(decoded);
  const engine::WantedResults& wanted = decoded.call.wanted;
  const engine::ResultTypes& types = decoded.call.types;
  double sum = 0;
  const auto add = [&](bool is_wanted, Shape (ResultShapes::*shape)() const, int64_t size) {
    if (is_wanted) sum += Bytes((shapes.*shape)(), size);
  };
  const int64_t result = ByteSize(types.result), float32 = ByteSize(DataType::kFloat32);
  if (wanted.output) sum += Bytes(shapes.output, result);
  add(wanted.attention_scores, &ResultShapes::Scores, result);
  add(wanted.attention_weights, &ResultShapes::Weights, result);
  add(wanted.query, &ResultShapes::Query, result);
  add(wanted.key, &ResultShapes::Key, ByteSize(types.key));
  add(wanted.value, &ResultShapes::Value, ByteSize(types.value));
  add(wanted.weighted_values, &ResultShapes::WeightedValues, result);
  add(wanted.top_keys, &ResultShapes::TopKeys, 2 * float32);  // an int32 takes as much
  add(wanted.log_sum_exp, &ResultShapes::LogSumExp, float32);
  add(wanted.present_key, &ResultShapes::PresentKey, ByteSize(types.key));
  add(wanted.present_value, &ResultShapes::PresentValue, ByteSize(types.value));
  return sum;
}

void MakeRoom(DecodedRequest& decoded, v1::ComputeAttentionResponse& response) {
  const ResultShapes shapes(decoded);
  const engine::WantedResults& wanted = decoded.call.wanted;
  const auto [type, key_type, value_type] = decoded.call.types;
  const ResultForm form = decoded.form;
  engine::CallOutputs& to = decoded.call.outputs;
  if (wanted.output) {
    to.output =
        OutputView(MakeTensor(shapes.output, type, form, *response.mutable_output()), decoded);
  }
  if (wanted.attention_scores) {
    to.attention_scores =
        MakeTensor(shapes.Scores(), type, form, *response.mutable_attention_scores());
  }
  if (wanted.attention_weights) {
    to.attention_weights =
        MakeTensor(shapes.Weights(), type, form, *response.mutable_attention_weights());
  }
  if (wanted.query) to.query = MakeTensor(shapes.Query(), type, form, *response.mutable_query());
  if (wanted.key) to.key = MakeTensor(shapes.Key(), key_type, form, *response.mutable_key());
  if (wanted.value) {
    to.value = MakeTensor(shapes.Value(), value_type, form, *response.mutable_value());
  }
  if (wanted.weighted_values) {
    to.weighted_values =
        MakeTensor(shapes.WeightedValues(), type, form, *response.mutable_weighted_values());
  }
  if (wanted.top_keys) {
    v1::TopKeys& top_keys = *response.mutable_top_keys();
    to.top_k = decoded.top_k;
    to.top_indices = MakeIndices(shapes.TopKeys(), form, *top_keys.mutable_indices());
    to.top_weights = MakeFloats(shapes.TopKeys(), form, *top_keys.mutable_attention_weights());
  }
  if (wanted.log_sum_exp) {
    to.log_sum_exp = MakeFloats(shapes.LogSumExp(), form, *response.mutable_log_sum_exp());
  }
  if (wanted.present_key) {
    to.present_key =
        MakeTensor(shapes.PresentKey(), key_type, form, *response.mutable_present_key());
  }
  if (wanted.present_value) {
    to.present_value =
        MakeTensor(shapes.PresentValue(), value_type, form, *response.mutable_present_value());
  }
}

void FinishResults(const DecodedRequest& decoded, v1::ComputeAttentionResponse& response) {
  if (decoded.form == ResultForm::kFloatValues && decoded.call.wanted.top_keys) {
    IndicesToFloats(*response.mutable_top_keys()->mutable_indices());
  }
}

}  // namespace attention::rpc
