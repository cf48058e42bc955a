#include "tests/bench/sides.h"

#include <algorithm>
#include <utility>

namespace attention {

Sides::Sides(const BenchShape& shape)
    : op(MakeOp(shape)),
      executor(shape.threads),
      problem(shape),
      ceiling(shape.compute_type, shape.threads) {}

std::string Sides::Compare(const Composition* composition) {
  ceiling.Run(executor);
  std::string wrong = ceiling.Compare();
  if (composition != nullptr && wrong.empty()) {
    composition->Run(executor);
    wrong = problem.Compare();
    if (!wrong.empty()) wrong = "the composition: " + wrong;
    std::fill(problem.output.begin(), problem.output.end(), 0.0f);
  }
  if (!wrong.empty()) return wrong;
  problem.Run(op, executor);
  return problem.Compare();
}

void Register(const std::string& name, std::function<void(benchmark::State&)> run) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(run))
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

void Skip(benchmark::State& state, const std::string& wrong) {
  for (auto _ : state) {
    state.SkipWithError(wrong.c_str());
    break;
  }
}

}  // namespace attention
