#include "tests/bench/sides.h"

#include <utility>

#include "absl/strings/match.h"
#include "kernels/onednn/onednn_matmul.h"

namespace attention {

Sides::Sides(const BenchShape& shape)
    : op(MakeOp(shape)),
      executor(shape.threads),
      problem(shape),
      ceiling(shape.compute_type, shape.threads) {}

std::string Sides::Compare(std::initializer_list<const Composition*> compositions) {
  ceiling.Run(executor);
  std::string wrong = ceiling.Compare();
  for (const Composition* composition : compositions) {
    if (!wrong.empty()) return wrong;
    composition->Run(executor);
    wrong = problem.Compare();
    if (!wrong.empty()) wrong = "the composition: " + wrong;
    problem.ClearOutput();
  }
  if (!wrong.empty()) return wrong;
  problem.Run(op, executor);
  return problem.Compare();
}

bool HasBfloat16Products() {
  return OnednnMatmul::OperandsFor(ComputeType::kBfloat16).operand == DataType::kBfloat16;
}

void Register(const std::string& name, std::function<void(benchmark::State&)> run) {
  if (absl::StrContains(name, "/bf16/") && !HasBfloat16Products()) return;
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
