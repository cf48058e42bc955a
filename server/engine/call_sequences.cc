#include "server/engine/call_sequences.h"

#include <cstddef>

namespace attention::engine {

AttentionSequence SequenceOf(const AttentionCall& call, int64_t b) {
  const SequenceShape& shape = call.sequences[b];
  AttentionSequence s;
  s.q_len = shape.q_len;
  s.kv_len = shape.kv_len + call.shape.extra_keys;
  s.visible_len = shape.visible_len;
  s.causal_offset = shape.causal_offset;
  s.mask = call.mask;
  if (s.mask.bias != nullptr) s.mask.bias += b * call.mask_batch_stride;
  if (s.mask.visible != nullptr) s.mask.visible += b * call.mask_batch_stride;
  s.query_positions = call.query_indices;
  return s;
}

AttentionResults ResultsOf(const AttentionCall& call, const MutableBatchView& output, int64_t b,
                           const SequenceOffsets& offsets) {
  const CallOutputs& to = call.outputs;
  const CallShape& shape = call.shape;
  const int64_t heads = shape.num_heads, rows = heads * offsets.queries;
  const DataType type = call.types.result;
  const auto bytes = [&](std::byte* data, int64_t numbers) {
    return data != nullptr ? data + numbers * ByteSize(type) : nullptr;
  };
  const auto at = [](auto* data, int64_t numbers) {
    return data != nullptr ? data + numbers : nullptr;
  };
  const int64_t weight_heads = call.settings.average_weights ? 1 : heads;
  return {
      .output = output.At(b, offsets.queries),
      .type = type,
      .attention_scores = bytes(to.At(Result::kAttentionScores), heads * offsets.scores),
      .attention_weights = bytes(to.At(Result::kAttentionWeights), weight_heads * offsets.scores),
      .weighted_values =
          bytes(to.At(Result::kWeightedValues), heads * offsets.scores * shape.v_head_dim),
      .log_sum_exp = at(to.log_sum_exp(), rows),
      .top_k = to.top_k,
      .top_indices = at(to.top_indices, rows * to.top_k),
      .top_weights = at(to.top_weights, rows * to.top_k)};
}

AttentionResults Placeholders(const AttentionCall& call) {
  alignas(float) static std::byte place;
  static float number;
  static int32_t index;
  const ResultSet& wanted = call.wanted;
  AttentionResults results;
  results.type = call.types.result;
  if (wanted.Has(Result::kOutput)) results.output.data = &place;
  if (wanted.Has(Result::kAttentionScores)) results.attention_scores = &place;
  if (wanted.Has(Result::kAttentionWeights)) results.attention_weights = &place;
  if (wanted.Has(Result::kWeightedValues)) results.weighted_values = &place;
  if (wanted.Has(Result::kLogSumExp)) results.log_sum_exp = &number;
  if (wanted.Has(Result::kTopKeys)) results.top_indices = &index;
  return results;
}

}  // namespace attention::engine
