#ifndef ATTENTION_TESTS_BENCH_ONEDNN_BASELINES_H_
#define ATTENTION_TESTS_BENCH_ONEDNN_BASELINES_H_

#include <memory>
#include <string>

#include "tests/bench/bench_problem.h"

// What the operator is measured against, made of oneDNN's own primitives. But for Composition's
// kWhole, threads share the work as the operator's do: each runs primitives of its own on its part.
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

// Attention composed of oneDNN's primitives: S = scale * Q K^T, softmax, P V, each over all queries
// and keys, with S and P in the problem's type. Writes the problem's output.
class Composition {
 public:
  enum class Form {
    // The plain composition: three calls for all heads of all sequences, [batch, heads, rows,
    // columns], that read and write the problem's memory in place. oneDNN shares out the work.
    kWhole,
    // What somebody makes of it who cares: head by head, so that S stays in the caches as long as
    // it fits, a thread taking whole heads. In float32 in place; in bfloat16 with Q, K and V copied
    // into the layout that oneDNN likes best. The other choice is as fast or slower for each.
    kHeadByHead,
  };

  // `problem` outlives this.
  Composition(const BenchProblem& problem, Form form);
  ~Composition();

  void Run(Executor& executor) const;

 private:
  struct Whole;
  struct Head;

  const BenchProblem& problem_;
  std::unique_ptr<Whole> whole_;              // of one form
  std::vector<std::unique_ptr<Head>> heads_;  // of the other, one a thread
};

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_ONEDNN_BASELINES_H_
