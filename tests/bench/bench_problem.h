#ifndef ATTENTION_TESTS_BENCH_BENCH_PROBLEM_H_
#define ATTENTION_TESTS_BENCH_BENCH_PROBLEM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/attention/attention_op.h"

namespace attention {

struct BenchShape {
  ComputeType compute_type = ComputeType::kFloat32;
  int64_t batch = 1;
  int64_t q_len = 1;
  int64_t kv_len = 1;
  int64_t num_heads = 1;
  int64_t num_kv_heads = 1;
  int64_t head_dim = 64;  // of values too
  int threads = 1;

  bool bfloat16() const { return compute_type == ComputeType::kBfloat16; }
  // The type of query, key, value and output.
  DataType stored() const { return bfloat16() ? DataType::kBfloat16 : DataType::kFloat32; }
  // f32/<middle>/b1/n128/h12/g12/d64/t1; n is the number of keys.
  std::string Name(const std::string& family, const std::string& middle) const;
  // Of one call that computes all scores.
  double Flops() const;
};

// One call of the operator with memory of its own: query, key and value as random numbers, and room
// for the output, all [batch, len, heads * dim].
class BenchProblem {
 public:
  // A caller that only decodes keeps keys and values [batch, heads, len, dim] instead:
  // `head_major`.
  explicit BenchProblem(const BenchShape& shape, bool head_major = false);
  BenchProblem(const BenchProblem&) = delete;
  BenchProblem& operator=(const BenchProblem&) = delete;

  // Runs once. Throws std::runtime_error where the operator fails.
  void Run(const AttentionOp& op, Executor& executor) const;

  // Forgets the output, so that Compare cannot take an earlier one for it.
  void ClearOutput();

  // Compares some rows of some heads with the oracle, with `settings` as they are now: `output`,
  // and scores and weights where the sequences ask for them. Empty, or what is wrong.
  std::string Compare() const;

  const BenchShape shape;
  AttentionSettings settings;
  std::vector<AttentionSequence> sequences;          // [batch]
  std::vector<std::byte> query, key, value, output;  // shape.stored()

 private:
  std::string CompareHead(const AttentionSequence& sequence, int64_t head) const;
};

// The numbers of threads that are measured: one, and all of the machine.
std::vector<int> ThreadCounts();

// The operator of a shape's widths. Throws std::runtime_error where it cannot be made.
AttentionOp MakeOp(const BenchShape& shape);

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_BENCH_PROBLEM_H_
