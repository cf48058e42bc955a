#ifndef ATTENTION_KERNELS_ATTENTION_ATTENTION_PROBLEM_H_
#define ATTENTION_KERNELS_ATTENTION_ATTENTION_PROBLEM_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "kernels/memory/data_type.h"
#include "kernels/memory/heads_view.h"

// What attention computes, and from what (operator.md). All memory is the caller's.
namespace attention {

// How a row of scores becomes a row of attention weights (operator.md, "Normalise").
enum class Normalization : uint8_t { kSoftmax, kSum };

// Which scores are returned (operator.md, "Score", "Cap" and "Bias").
enum class ScoreStage : uint8_t { kRaw, kSoftcapped, kBiased };

// What all sequences of a call have in common. num_heads is a multiple of num_kv_heads.
struct AttentionSettings {
  int64_t num_heads = 1;     // query heads
  int64_t num_kv_heads = 1;  // key/value heads
  float scale = 1.0f;        // finite
  float softcap = 0.0f;      // finite; 0: none
  Normalization normalization = Normalization::kSoftmax;
  bool causal = false;
  int64_t left_window = -1;              // a query at p sees keys from p - left_window on; -1: all
  int64_t right_window = -1;             // and up to p + right_window; -1: all
  absl::Span<const float> alibi_slopes;  // [num_heads], or empty
  absl::Span<const float> sinks;         // [num_heads], or empty: one extra logit for each row
  ScoreStage score_stage = ScoreStage::kRaw;
  bool average_weights = false;  // attention_weights are the mean over the heads

  // The key/value head that query head `head` reads.
  int64_t KvHead(int64_t head) const { return head / Group(); }
  // Query heads that share a key/value head.
  int64_t Group() const { return num_heads / num_kv_heads; }
};

// The caller's mask for one sequence, broadcast by strides of 0 to [num_heads, queries, kv_len]. At
// most one of the two pointers is set; neither means that every key is seen.
struct MaskView {
  const float* bias = nullptr;       // added to the scores; -inf hides the key
  const uint8_t* visible = nullptr;  // 1: attends, 0: hidden
  int64_t head_stride = 0;
  int64_t row_stride = 0;
  int64_t key_count = 0;  // length of the last axis; keys from here on are hidden

  bool empty() const { return bias == nullptr && visible == nullptr; }
};

// Where the results of one sequence go; a result whose pointer is null is not wanted. All are dense
// and row-major except `output`, which has strides. Results behind pointers to std::byte may be
// unaligned.
struct AttentionResults {
  MutableHeadsView output;                 // [num_heads, q_len, v_head_dim]
  DataType type = DataType::kFloat32;      // of the three below
  std::byte* attention_scores = nullptr;   // [num_heads, q_len, kv_len]
  std::byte* attention_weights = nullptr;  // the same, or averaged [q_len, kv_len]
  std::byte* weighted_values = nullptr;    // [num_heads, kv_len, q_len, v_head_dim]
  float* log_sum_exp = nullptr;            // [num_heads, q_len]; softmax only
  int64_t top_k = 0;                       // for the two below, 1 to kv_len
  int32_t* top_indices = nullptr;          // [num_heads, q_len, top_k]
  float* top_weights = nullptr;            // [num_heads, q_len, top_k]

  // Whether a result is wanted that needs normalised scores.
  bool NeedWeights() const {
    return NeedWholeRows() || output.data != nullptr || log_sum_exp != nullptr;
  }
  // Whether a result is wanted that needs all weights of a row at once.
  bool NeedWholeRows() const {
    return attention_weights != nullptr || weighted_values != nullptr || top_indices != nullptr;
  }
  bool Empty() const { return attention_scores == nullptr && !NeedWeights(); }
};

// One sequence: its queries, its keys and values, what hides keys from queries, and its results.
struct AttentionSequence {
  int64_t q_len = 1;        // queries that are computed; at least 0
  int64_t kv_len = 1;       // keys, including those of the past; at least 0
  HeadsView query;          // [num_heads, q_len, head_dim]
  CachedHeadsView key;      // [num_kv_heads, kv_len, head_dim]
  CachedHeadsView value;    // [num_kv_heads, kv_len, v_head_dim]
  int64_t visible_len = 1;  // keys from here on are seen by no query
  // The query at position p of its sequence stands at p + causal_offset among the keys, for
  // causality, window and ALiBi. May be negative.
  int64_t causal_offset = 0;
  MaskView mask;
  // Where in its sequence each query stands, for mask and causality. Empty: 0, 1, ...
  absl::Span<const int64_t> query_positions;
  AttentionResults results;

  int64_t Position(int64_t row) const {
    return query_positions.empty() ? row : query_positions[row];
  }
};

// Weights that the caller supplies, to be combined with values. Of the settings only the numbers of
// heads and average_weights matter; of the results attention_scores and log_sum_exp are not
// computed.
struct WeightedSequence {
  int64_t q_len = 1;
  int64_t kv_len = 1;
  HeadsView attention_weights;  // [num_heads, number of rows, kv_len]
  CachedHeadsView value;        // [num_kv_heads, kv_len, v_head_dim]
  // Which rows of attention_weights the q_len queries are. Empty: 0, 1, ...
  absl::Span<const int64_t> query_positions;
  AttentionResults results;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ATTENTION_PROBLEM_H_
