#ifndef ATTENTION_TESTS_KERNELS_PROBLEM_H_
#define ATTENTION_TESTS_KERNELS_PROBLEM_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/attention_op.h"
#include "kernels/reference_attention.h"

namespace attention {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

inline std::vector<float> RandomFloats(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-1.0f, 1.0f);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(generator);
  return values;
}

// An attention problem with memory of its own, and what the operator makes of it.
struct Problem {
  explicit Problem(const AttentionShape& shape)
      : query(RandomFloats(shape.batch * shape.num_heads * shape.q_len * shape.head_dim, 1)),
        key(RandomFloats(shape.batch * shape.num_kv_heads * shape.kv_len * shape.head_dim, 2)),
        value(RandomFloats(shape.batch * shape.num_kv_heads * shape.kv_len * shape.v_head_dim, 3)) {
    inputs.shape = shape;
    inputs.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
    Point();
  }

  // Points the inputs at the vectors, laid out [batch, heads, len, dim].
  void Point() {
    const AttentionShape& s = inputs.shape;
    inputs.query = HeadMajorView<const float>(query.data(), s.q_len, s.num_heads, s.head_dim);
    inputs.key = HeadMajorView<const float>(key.data(), s.kv_len, s.num_kv_heads, s.head_dim);
    inputs.value = HeadMajorView<const float>(value.data(), s.kv_len, s.num_kv_heads, s.v_head_dim);
  }

  // Computes all results on `threads` threads.
  absl::Status Run(int threads = 2) {
    const AttentionShape& s = inputs.shape;
    const int64_t rows = s.batch * s.num_heads * s.q_len;
    output.assign(rows * s.v_head_dim, kNan);
    scores.assign(rows * s.kv_len, kNan);
    weights.assign(rows * s.kv_len, kNan);
    weighted_values.assign(rows * s.kv_len * s.v_head_dim, kNan);
    log_sum_exp.assign(rows, kNan);
    AttentionOutputs outputs = {
        .output = HeadMajorView(output.data(), s.q_len, s.num_heads, s.v_head_dim),
        .attention_scores = scores.data(),
        .attention_weights = weights.data(),
        .weighted_values = weighted_values.data(),
        .log_sum_exp = log_sum_exp.data()};
    return RunInto(outputs, threads);
  }

  absl::Status RunInto(const AttentionOutputs& outputs, int threads = 2) const {
    const AttentionShape& s = inputs.shape;
    const absl::StatusOr<AttentionOp> op =
        AttentionOp::Create({.head_dim = s.head_dim,
                             .v_head_dim = s.v_head_dim,
                             .tiles = AttentionOp::Tiles(s.q_len, s.kv_len)});
    if (!op.ok()) return op.status();
    Executor executor(threads);
    return op->Run(inputs, outputs, executor);
  }

  AttentionInputs inputs;
  std::vector<float> query, key, value;
  std::vector<float> output, scores, weights, weighted_values, log_sum_exp;
};

// Every element of `got` within `tolerance` of `want`, both NaN, or both the same infinity; says
// which element is worst.
inline testing::AssertionResult Near(const std::vector<float>& got, const std::vector<double>& want,
                                     double tolerance) {
  if (got.size() != want.size()) {
    return testing::AssertionFailure() << got.size() << " elements; want " << want.size();
  }
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if ((std::isnan(got[i]) && std::isnan(want[i])) || got[i] == want[i]) continue;
    const double error = std::abs(got[i] - want[i]);
    if (std::isnan(error) || error > worst) {
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      at = i;
    }
  }
  if (worst <= tolerance) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "element " << at << " is " << got[at] << "; want "
                                     << want[at] << " within " << tolerance;
}

// operator.md: 1e-5 relative to the largest value.
inline double OutputTolerance(const std::vector<double>& want) {
  double largest = 0;
  for (const double x : want) {
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  }
  return 1e-5 * largest;
}

// operator.md: 2 * head_dim * 2^-24 * sum |q_i k_i|, for the largest such sum: values lie in [-1,
// 1].
inline double ScoreTolerance(const AttentionInputs& inputs) {
  const double dim = static_cast<double>(inputs.shape.head_dim);
  return 2 * dim * std::ldexp(1.0, -24) * dim * std::abs(inputs.scale);
}

inline void ExpectMatchesOracle(const Problem& problem) {
  const ReferenceResult want = ReferenceAttention(problem.inputs);
  EXPECT_TRUE(Near(problem.scores, want.attention_scores, ScoreTolerance(problem.inputs)));
  EXPECT_TRUE(
      Near(problem.weights, want.attention_weights, OutputTolerance(want.attention_weights)));
  EXPECT_TRUE(
      Near(problem.weighted_values, want.weighted_values, OutputTolerance(want.attention_weights)));
  EXPECT_TRUE(Near(problem.output, want.output, 1e-5));
  if (problem.inputs.normalization == Normalization::kSoftmax) {
    EXPECT_TRUE(Near(problem.log_sum_exp, want.log_sum_exp, OutputTolerance(want.log_sum_exp)));
  }
}

}  // namespace attention

#endif  // ATTENTION_TESTS_KERNELS_PROBLEM_H_
