#include <benchmark/benchmark.h>

#include <cstring>
#include <numeric>

#include "tests/bench/cases.h"
#include "tests/bench/rounds.h"
#include "tests/bench/sides.h"

namespace attention {
namespace {

// Reads memory as fast as one thread can: eight vectors of sums, which stay in registers on every
// x86, and of which none waits for its last addition. Returns the sum, so that nothing is left out.
uint64_t ReadAll(const std::byte* data, int64_t bytes) {
  constexpr int64_t kWords = 16;  // 2 cache lines
  uint64_t sums[kWords] = {};
  for (int64_t at = 0; at + kWords * 8 <= bytes; at += kWords * 8) {
    uint64_t words[kWords];
    std::memcpy(words, data + at, sizeof(words));
    for (int64_t i = 0; i < kWords; ++i) sums[i] += words[i];
  }
  return std::accumulate(sums, sums + kWords, uint64_t{0});
}

// A plain read of keys and values, an equal share of both for each thread.
void ReadKeysAndValues(const BenchProblem& problem, Executor& executor) {
  const int threads = problem.shape.threads;
  const auto bytes = static_cast<int64_t>(problem.key.size());
  const int64_t share = bytes / threads;
  executor
      .ParallelFor(threads,
                   [&](int64_t thread, Workspace&) {
                     for (const auto* numbers : {&problem.key, &problem.value}) {
                       benchmark::DoNotOptimize(ReadAll(numbers->data() + thread * share, share));
                     }
                     return absl::OkStatus();
                   })
      .IgnoreError();
}

void Decode(benchmark::State& state, const BenchShape& shape) {
  const AttentionOp op = MakeOp(shape);
  Executor executor(shape.threads);
  BenchProblem problem(shape, shape.bfloat16() ? DataType::kBfloat16 : DataType::kFloat32,
                       /*head_major=*/true);
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
