#include <benchmark/benchmark.h>

#include "tests/bench/cases.h"
#include "tests/bench/rounds.h"
#include "tests/bench/sides.h"

namespace attention {
namespace {

void Full(benchmark::State& state, const BenchShape& shape) {
  Sides sides(shape);
  const Composition composition(sides.problem, Composition::Form::kWhole);
  const Composition by_head(sides.problem, Composition::Form::kHeadByHead);
  const std::string wrong = sides.Compare({&composition, &by_head});
  if (!wrong.empty()) return Skip(state, wrong);

  Rounds rounds;
  const int ceiling = rounds.Add([&] { sides.ceiling.Run(sides.executor); });
  const int ours = rounds.Add([&] { sides.problem.Run(sides.op, sides.executor); });
  const int plain = rounds.Add([&] { composition.Run(sides.executor); });
  const int heads = rounds.Add([&] { by_head.Run(sides.executor); });
  for (auto _ : state) {
    rounds.Run(sides.executor);
    state.SetIterationTime(rounds.Seconds(ours));
  }
  state.counters["cpus"] = rounds.Cpus();
  const double flops = shape.Flops();
  state.counters["gflops"] = flops / rounds.Seconds(ours) * 1e-9;
  state.counters["ceiling_gflops"] = sides.ceiling.Flops() / rounds.Seconds(ceiling) * 1e-9;
  const auto fraction = [&](int side) {
    return rounds.Ratio(ceiling, side) * flops / sides.ceiling.Flops();
  };
  state.counters["ceiling_fraction"] = fraction(ours);
  state.counters["composition_fraction"] = fraction(plain);
  state.counters["vs_composition"] = rounds.Ratio(plain, ours);
  state.counters["by_head_fraction"] = fraction(heads);
  state.counters["vs_by_head"] = rounds.Ratio(heads, ours);
}

void Causal(benchmark::State& state, const BenchShape& shape) {
  Sides sides(shape);
  BenchProblem full(shape);
  sides.problem.settings.causal = true;
  full.Run(sides.op, sides.executor);
  std::string wrong = full.Compare();
  if (wrong.empty()) wrong = sides.Compare({});
  if (!wrong.empty()) return Skip(state, wrong);

  Rounds rounds;
  const int ceiling = rounds.Add([&] { sides.ceiling.Run(sides.executor); });
  const int ours = rounds.Add([&] { sides.problem.Run(sides.op, sides.executor); });
  const int without = rounds.Add([&] { full.Run(sides.op, sides.executor); });
  for (auto _ : state) {
    rounds.Run(sides.executor);
    state.SetIterationTime(rounds.Seconds(ours));
  }
  state.counters["cpus"] = rounds.Cpus();
  const double flops = shape.Flops() / 2;
  state.counters["gflops"] = flops / rounds.Seconds(ours) * 1e-9;
  state.counters["ceiling_fraction"] = rounds.Ratio(ceiling, ours) * flops / sides.ceiling.Flops();
  state.counters["vs_full"] = rounds.Ratio(without, ours);
}

struct Case {
  int64_t batch, length, heads, kv_heads, dim;
};

}  // namespace

void RegisterAttention() {
  const Case full[] = {{1, 128, 12, 12, 64},  {8, 128, 12, 12, 64},  {1, 512, 12, 12, 64},
                       {1, 512, 8, 8, 128},   {1, 1024, 12, 12, 64}, {1, 1024, 8, 8, 128},
                       {1, 2048, 12, 12, 64}, {1, 2048, 8, 8, 128},  {1, 8192, 2, 2, 64},
                       {1, 8192, 2, 2, 128},  {1, 1024, 16, 4, 64}};
  const Case causal[] = {
      {1, 2048, 12, 12, 64}, {1, 2048, 8, 8, 128}, {1, 8192, 2, 2, 64}, {1, 8192, 2, 2, 128}};
  const auto add = [](const Case& c, ComputeType type, int threads, const char* name, auto run) {
    const BenchShape shape = {.compute_type = type,
                              .batch = c.batch,
                              .q_len = c.length,
                              .kv_len = c.length,
                              .num_heads = c.heads,
                              .num_kv_heads = c.kv_heads,
                              .head_dim = c.dim,
                              .threads = threads};
    Register(shape.Name("attention", name), [=](benchmark::State& state) { run(state, shape); });
  };
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    for (const int threads : ThreadCounts()) {
      for (const Case& c : full) add(c, type, threads, "full", Full);
      for (const Case& c : causal) add(c, type, threads, "causal", Causal);
    }
  }
}

}  // namespace attention
