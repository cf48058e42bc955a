#include <algorithm>
#include <chrono>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/bench/cases.h"
#include "tests/bench/rounds.h"
#include "tests/bench/sides.h"

namespace attention {
namespace {

double SecondsOfCall(const BenchProblem& problem, const AttentionOp& op, Executor& executor) {
  const auto start = std::chrono::steady_clock::now();
  problem.Run(op, executor);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Calls of lengths that the operator has not seen before, each compared with the calls after it.
void FirstCall(benchmark::State& state, const BenchShape& widths) {
  Executor executor(widths.threads);
  const AttentionOp op = MakeOp(widths);
  std::vector<double> seconds, ratios;
  std::string wrong;
  RunOnComputeThread(executor, [&] {
    // Far apart and neither sorted nor round: 100 to 1000.
    for (int64_t i = 0; i < 24 && wrong.empty(); ++i) {
      BenchShape shape = widths;
      shape.q_len = shape.kv_len = 100 + 397 * i % 901;
      const BenchProblem problem(shape);
      const double first = SecondsOfCall(problem, op, executor);
      std::vector<double> warm;
      for (int j = 0; j < 5; ++j) warm.push_back(SecondsOfCall(problem, op, executor));
      wrong = problem.Compare();
      seconds.push_back(first);
      ratios.push_back(first / Median(warm));
    }
  });
  if (!wrong.empty()) return Skip(state, wrong);
  for (auto _ : state) state.SetIterationTime(Median(seconds));
  state.counters["vs_warm"] = Median(ratios);
  state.counters["vs_warm_worst"] = *std::max_element(ratios.begin(), ratios.end());
}

}  // namespace

void RegisterFirstCall() {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    for (const int threads : ThreadCounts()) {
      const BenchShape shape = {.compute_type = type,
                                .num_heads = 12,
                                .num_kv_heads = 12,
                                .head_dim = 64,
                                .threads = threads};
      Register(
          absl::StrCat("first_call/", shape.bfloat16() ? "bf16" : "f32", "/h12/g12/d64/t", threads),
          [=](benchmark::State& state) { FirstCall(state, shape); });
    }
  }
}

}  // namespace attention
