#ifndef ATTENTION_KERNELS_REFERENCE_ATTENTION_H_
#define ATTENTION_KERNELS_REFERENCE_ATTENTION_H_

#include <vector>

#include "kernels/attention_op.h"
#include "kernels/linear_op.h"

namespace attention {

// What ReferenceAttention computes; dense and row-major.
struct ReferenceResult {
  std::vector<double> attention_scores;   // [batch, num_heads, q_len, kv_len]
  std::vector<double> attention_weights;  // [batch, num_heads, q_len, kv_len]
  std::vector<double> weighted_values;    // [batch, num_heads, kv_len, q_len, v_head_dim]
  std::vector<double> output;             // [batch, num_heads, q_len, v_head_dim]
  std::vector<double> log_sum_exp;        // [batch, num_heads, q_len]
};

// The oracle: attention by its definition, one element at a time in double precision. It is meant
// to be read, and to be right; it is slow. A row whose scores sum to 0 under kSum gives infinities.
ReferenceResult ReferenceAttention(const AttentionInputs& inputs);

// Y = X W + b by its definition: [batch, rows, out].
std::vector<double> ReferenceLinear(const LinearOp::Inputs& inputs, int64_t in, int64_t out);

}  // namespace attention

#endif  // ATTENTION_KERNELS_REFERENCE_ATTENTION_H_
