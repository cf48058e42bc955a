#ifndef ATTENTION_TESTS_KERNELS_PROBLEM_H_
#define ATTENTION_TESTS_KERNELS_PROBLEM_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/attention/attention_op.h"
#include "kernels/reference/reference_attention.h"

namespace attention {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Numbers from -1 to 1, the same for the same seed.
std::vector<float> RandomFloats(int64_t count, unsigned seed);

// The same numbers in bytes that begin one past any alignment: the first is at data() + 1.
std::vector<std::byte> Misaligned(const std::vector<float>& numbers);

struct ProblemShape {
  int64_t batch = 1;
  int64_t q_len = 1;
  int64_t kv_len = 1;
  int64_t num_heads = 1;
  int64_t num_kv_heads = 1;
  int64_t head_dim = 1;
  int64_t v_head_dim = 1;
};

// An attention problem with memory of its own, laid out [batch, heads, len, dim], and what the
// operator makes of it. Tests change what they like before Run.
struct Problem {
  explicit Problem(const ProblemShape& shape);
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  // Points the sequences at the vectors.
  void Point();

  // Computes all results on `threads` threads.
  absl::Status Run(int threads = 2);
  // Computes what the sequences' results ask for.
  absl::Status RunAsIs(int threads = 2) const;

  const ProblemShape shape;
  AttentionSettings settings;
  ComputeType compute_type = ComputeType::kFloat32;
  std::vector<AttentionSequence> sequences;  // [batch]
  std::vector<float> query, key, value;
  std::vector<float> output, scores, weights, weighted_values, log_sum_exp;
};

// The oracle's results for the whole batch, sequence after sequence.
ReferenceResult ReferenceBatch(const Problem& problem);

// Every element i of `got` within tolerance(i) of `want`, both NaN, or both the same infinity; says
// which element is worst.
testing::AssertionResult Near(const std::vector<float>& got, const std::vector<double>& want,
                              const std::function<double(size_t)>& tolerance);
testing::AssertionResult Near(const std::vector<float>& got, const std::vector<double>& want,
                              double tolerance);

// operator.md: 1e-5 relative to the largest value, for float32.
double OutputTolerance(const std::vector<double>& want);

// All results of a problem that was run, against the oracle, with the tolerances of operator.md;
// bfloat16's are derived in the same way from its own unit.
void ExpectMatchesOracle(const Problem& problem);

}  // namespace attention

#endif  // ATTENTION_TESTS_KERNELS_PROBLEM_H_
