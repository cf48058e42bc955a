#include <benchmark/benchmark.h>

#include "tests/bench/cases.h"
#include "tests/bench/read_memory.h"
#include "tests/bench/rounds.h"
#include "tests/bench/sides.h"

namespace attention {
namespace {

// A plain read of keys and values, an equal share of both for each thread.
void ReadKeysAndValues(const BenchProblem& problem, Executor& executor) {
  const int threads = problem.shape.threads;
  const auto bytes = static_cast<int64_t>(problem.key.size());
  const int64_t share = bytes / threads;
  executor
      .ParallelFor(
          threads,
          [&](int64_t thread, Workspace&) {
            for (const auto* numbers : {&problem.key, &problem.value}) {
              benchmark::DoNotOptimize(ReadMemory(numbers->data() + thread * share, share));
            }
            return absl::OkStatus();
          })
      .IgnoreError();
}

void Decode(benchmark::State& state, const BenchShape& shape) {
  const AttentionOp op = MakeOp(shape);
  Executor executor(shape.threads);
  BenchProblem problem(shape, /*head_major=*/true);
  problem.Run(op, executor);
  const std::string wrong = problem.Compare();
  if (!wrong.empty()) return Skip(state, wrong);

  Rounds rounds;
  const int ours = rounds.Add([&] { problem.Run(op, executor); });
  const int read = rounds.Add([&] { ReadKeysAndValues(problem, executor); });
  for (auto _ : state) {
    rounds.Run(executor);
    state.SetIterationTime(rounds.Seconds(ours));
  }
  state.counters["cpus"] = rounds.Cpus();
  const auto bytes = static_cast<double>(problem.key.size() + problem.value.size());
  state.counters["gbytes_per_second"] = bytes / rounds.Seconds(ours) * 1e-9;
  state.counters["read_gbytes_per_second"] = bytes / rounds.Seconds(read) * 1e-9;
  state.counters["bandwidth_fraction"] = rounds.Ratio(read, ours);
}

}  // namespace

void RegisterDecode() {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    for (const int threads : ThreadCounts()) {
      for (const int64_t dim : {64, 128}) {
        for (const int64_t keys : {4096, 8192, 16384, 32768}) {
          const BenchShape shape = {.compute_type = type,
                                    .q_len = 1,
                                    .kv_len = keys,
                                    .num_heads = 32,
                                    .num_kv_heads = 8,
                                    .head_dim = dim,
                                    .threads = threads};
          Register(shape.Name("decode", ""),
                   [=](benchmark::State& state) { Decode(state, shape); });
        }
      }
    }
  }
}

}  // namespace attention
