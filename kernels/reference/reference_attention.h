#ifndef ATTENTION_KERNELS_REFERENCE_REFERENCE_ATTENTION_H_
#define ATTENTION_KERNELS_REFERENCE_REFERENCE_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "kernels/attention/attention_problem.h"
#include "kernels/memory/rows_view.h"
#include "kernels/products/packed_weight.h"

namespace attention {

// What ReferenceAttention computes for one sequence; dense and row-major.
struct ReferenceResult {
  std::vector<double> raw_scores;         // [num_heads, q_len, kv_len]
  std::vector<double> softcapped_scores;  // the same
  std::vector<double> biased_scores;      // the same
  std::vector<double> attention_weights;  // the same
  std::vector<double> mean_weights;       // [q_len, kv_len], averaged over heads
  std::vector<double> weighted_values;    // [num_heads, kv_len, q_len, v_head_dim]
  std::vector<double> output;             // [num_heads, q_len, v_head_dim]
  std::vector<double> log_sum_exp;        // [num_heads, q_len]
  // Sums of the magnitudes of the terms, to which rounding errors are relative:
  std::vector<double> score_sizes;   // |scale| * sum |q_i k_i|, as raw_scores
  std::vector<double> output_sizes;  // sum P |v|, as output
};

// The oracle: attention by its definition in operator.md, one element at a time in double
// precision. It is written to be easy to read and obviously right, and is slow. A row whose scores
// sum to 0 under kSum gives infinities. Ignores sequence.results.
ReferenceResult ReferenceAttention(const AttentionSettings& settings,
                                   const AttentionSequence& sequence, int64_t head_dim,
                                   int64_t v_head_dim);

// Y = X W + b by its definition: [x.count, weight.out]. `bias` may be null.
std::vector<double> ReferenceLinear(const RowsView& x, const WeightView& weight, const float* bias);

}  // namespace attention

#endif  // ATTENTION_KERNELS_REFERENCE_REFERENCE_ATTENTION_H_
