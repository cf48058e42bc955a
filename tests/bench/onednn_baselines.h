#ifndef ATTENTION_TESTS_BENCH_ONEDNN_BASELINES_H_
#define ATTENTION_TESTS_BENCH_ONEDNN_BASELINES_H_

#include <memory>
#include <string>

#include "tests/bench/bench_problem.h"

// What the operator is measured against, made of oneDNN's own primitives. Threads share the work as
// the operator's do: each runs primitives of its own on its part.
namespace attention {

// The best that oneDNN makes of a product of this type: 1024 x 1024 x 1024, dense, float32 results,
// the second operand in the layout that oneDNN chooses. Each thread computes its part of the rows.
class Ceiling {
 public:
  Ceiling(ComputeType compute_type, int threads);
  ~Ceiling();

  void Run(Executor& executor) const;
  double Flops() const { return 2.0 * kSide * kSide * kSide; }
  // Empty, or what is wrong with the last run.
  std::string Compare() const;

 private:
  static constexpr int64_t kSide = 1024;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The plain composition: for each head S = scale * Q K^T over all queries and keys, softmax, P V.
// In float32, oneDNN reads and writes the problem's memory in place. In bfloat16, Q, K and V have
// to be converted, into the layout that oneDNN likes best; S and P are bfloat16. The other choice,
// tried for each operand and type, is as fast or slower. A thread takes whole heads. Writes the
// problem's output.
class Composition {
 public:
  // `problem` outlives this.
  explicit Composition(const BenchProblem& problem);
  ~Composition();

  void Run(Executor& executor) const;

 private:
  struct Head;
  const BenchProblem& problem_;
  std::vector<std::unique_ptr<Head>> heads_;  // one a thread
};

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_ONEDNN_BASELINES_H_
