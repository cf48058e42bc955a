#ifndef ATTENTION_TESTS_BENCH_SIDES_H_
#define ATTENTION_TESTS_BENCH_SIDES_H_

#include <benchmark/benchmark.h>

#include <functional>
#include <initializer_list>
#include <string>

#include "tests/bench/bench_problem.h"
#include "tests/bench/onednn_baselines.h"

namespace attention {

// The operator on one problem, and the ceiling for its type and thread count.
struct Sides {
  explicit Sides(const BenchShape& shape);

  // Runs the ceiling, the compositions and the operator once each, and compares all with what they
  // should give. Empty, or what is wrong.
  std::string Compare(std::initializer_list<const Composition*> compositions);

  const AttentionOp op;
  Executor executor;
  BenchProblem problem;
  const Ceiling ceiling;
};

// Whether oneDNN multiplies bfloat16 numbers on this CPU, which takes AVX-512. Elsewhere the
// kernels round to bfloat16 and multiply in float32, and there is nothing to compare that with.
bool HasBfloat16Products();

// Registers a benchmark that does its own timing, once; one in bfloat16 only where there is
// something to compare it with.
void Register(const std::string& name, std::function<void(benchmark::State&)> run);

// Ends a benchmark that found a wrong result: no time is printed.
void Skip(benchmark::State& state, const std::string& wrong);

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_SIDES_H_
