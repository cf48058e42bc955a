#include <benchmark/benchmark.h>
#include <malloc.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>

#include "kernels/packed_heads.h"
#include "tests/bench/cases.h"
#include "tests/bench/sides.h"

namespace attention {
namespace {

// A line of /proc/self/status, such as "VmHWM", in bytes.
double StatusBytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string name;
  double kibibytes = 0;
  while (status >> name) {
    if (name == field + ":" && status >> kibibytes) return kibibytes * 1024;
    std::getline(status, name);
  }
  throw std::runtime_error("no " + field + " in /proc/self/status");
}

// Makes VmHWM, the peak of resident memory, begin anew.
void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

void Memory(benchmark::State& state, const BenchShape& shape) {
  const AttentionOp op = MakeOp(shape);
  const BenchProblem problem(shape);
  const double promised = op.WorkingBytes(problem.settings, problem.sequences, shape.threads);
  for (auto _ : state) {
    Executor executor(shape.threads);  // new: has no memory from calls before
    malloc_trim(0);  // memory that is free, yet resident, would not count again
    ForgetPeak();
    const double before = StatusBytes("VmRSS");
    const auto start = std::chrono::steady_clock::now();
    problem.Run(op, executor);
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    state.counters["bytes_above"] = StatusBytes("VmHWM") - before;
  }
  const std::string wrong = problem.Compare();
  if (!wrong.empty()) return state.SkipWithError(wrong.c_str());
  const int64_t packed = PackedHead::Bytes({shape.head_dim, shape.head_dim,
                                            OnednnMatmul::OperandsFor(shape.compute_type)},
                                           shape.kv_len) *
                         shape.num_kv_heads;
  state.counters["bytes_promised"] = promised;
  state.counters["bytes_allowed"] = static_cast<double>((shape.threads << 21) + packed);
}

}  // namespace

void RegisterMemory() {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    for (const int threads : ThreadCounts()) {
      const BenchShape shape = {.compute_type = type,
                                .q_len = 32768,
                                .kv_len = 32768,
                                .num_heads = 2,
                                .num_kv_heads = 2,
                                .head_dim = 64,
                                .threads = threads};
      Register(shape.Name("memory", ""), [=](benchmark::State& state) { Memory(state, shape); });
    }
  }
}

}  // namespace attention
