#include "server/engine/call_sequences.h"

#include <cstddef>
#include <cstring>

namespace attention::engine {
namespace {

// Rows row_of(0) ... row_of(count - 1) of each head.
template <typename RowOf>
void CopyEach(const BatchView& from, int64_t count, RowOf row_of, int64_t batch, int64_t heads,
              int64_t dim, float* to) {
  for (int64_t b = 0; b < batch; ++b) {
    const HeadsView view = from.At(b);
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < count; ++i) {
        std::memcpy(to, view.Row(h, row_of(i)), dim * sizeof(float));
        to += dim;
      }
    }
  }
}

}  // namespace

std::vector<AttentionSequence> Sequences(const AttentionCall& call) {
  std::vector<AttentionSequence> sequences(call.shape.batch);
  for (int64_t b = 0; b < call.shape.batch; ++b) {
    AttentionSequence& s = sequences[b];
    s.q_len = call.shape.q_len;
    s.kv_len = s.visible_len = call.shape.kv_len;
    s.mask = call.mask;
    if (s.mask.bias != nullptr) s.mask.bias += b * call.mask_batch_stride;
    if (s.mask.visible != nullptr) s.mask.visible += b * call.mask_batch_stride;
    s.query_positions = call.query_indices;
  }
  return sequences;
}

AttentionResults ResultsOf(const AttentionCall& call, const MutableBatchView& output, int64_t b) {
  const CallOutputs& to = call.outputs;
  const CallShape& s = call.shape;
  const int64_t rows = s.num_heads * s.q_len;
  const auto part = [&](auto* data, int64_t size) { return data ? data + b * size : nullptr; };
  const auto bytes = [&](float* data, int64_t size) {
    return reinterpret_cast<std::byte*>(part(data, size));
  };
  return {.output = output.first.data ? output.At(b) : MutableHeadsView{},
          .attention_scores = bytes(to.attention_scores, rows * s.kv_len),
          .attention_weights = bytes(to.attention_weights, rows * s.kv_len),
          .weighted_values = bytes(to.weighted_values, rows * s.kv_len * s.v_head_dim),
          .log_sum_exp = part(to.log_sum_exp, rows),
          .top_k = to.top_k,
          .top_indices = part(to.top_indices, rows * to.top_k),
          .top_weights = part(to.top_weights, rows * to.top_k)};
}

AttentionResults Placeholders(const WantedResults& wanted) {
  static std::byte place;
  static float number;
  static int32_t index;
  AttentionResults results;
  if (wanted.output) results.output.data = &place;
  if (wanted.attention_scores) results.attention_scores = &place;
  if (wanted.attention_weights) results.attention_weights = &place;
  if (wanted.weighted_values) results.weighted_values = &place;
  if (wanted.log_sum_exp) results.log_sum_exp = &number;
  if (wanted.top_keys) results.top_indices = &index;
  return results;
}

void CopyRows(const BatchView& from, absl::Span<const int64_t> rows, int64_t batch, int64_t heads,
              int64_t dim, float* to) {
  CopyEach(
      from, static_cast<int64_t>(rows.size()), [&](int64_t i) { return rows[i]; }, batch, heads,
      dim, to);
}

void CopyHeads(const BatchView& from, int64_t batch, int64_t heads, int64_t len, int64_t dim,
               float* to) {
  CopyEach(
      from, len, [](int64_t i) { return i; }, batch, heads, dim, to);
}

}  // namespace attention::engine
