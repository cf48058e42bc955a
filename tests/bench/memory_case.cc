#include <benchmark/benchmark.h>
#include <malloc.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/attention/packed_heads.h"
#include "tests/bench/allocations.h"
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
void ForgetPeakResident() { std::ofstream("/proc/self/clear_refs") << "5"; }

void Memory(benchmark::State& state, const BenchShape& shape) {
  const AttentionOp op = MakeOp(shape);
  const BenchProblem problem(shape);
  const PackedHead::Widths widths = {shape.head_dim, shape.head_dim,
                                     OnednnMatmul::OperandsFor(shape.compute_type)};
  const auto packed = static_cast<double>(PackedHead::Bytes(widths, shape.kv_len));
  const auto per_thread = [&](double bytes) {
    return (bytes - packed) / shape.threads / (int64_t{1} << 20);
  };
  Executor executor(shape.threads);  // new: has no memory from calls before
  malloc_trim(0);                    // memory that is free, yet resident, would not count again
  ForgetPeakResident();
  ForgetPeakBytes();
  const double resident = StatusBytes("VmRSS");
  const int64_t allocated = AllocatedBytes();
  const auto start = std::chrono::steady_clock::now();
  problem.Run(op, executor);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const auto bytes = static_cast<double>(PeakBytes() - allocated);
  const double resident_bytes = StatusBytes("VmHWM") - resident;

  const std::string wrong = problem.Compare();
  if (!wrong.empty()) return Skip(state, wrong);
  for (auto _ : state) state.SetIterationTime(seconds.count());
  state.counters["mib_per_thread"] = per_thread(bytes);
  state.counters["mib_per_thread_resident"] = per_thread(resident_bytes);
  state.counters["mib_per_thread_promised"] = per_thread(
      op.Memory(problem.settings, problem.sequences, shape.threads).Bytes(shape.threads));
}

}  // namespace

void RegisterMemory() {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    for (const int threads : ThreadCounts()) {
      const BenchShape shape = {.compute_type = type,
                                .q_len = 32768,
                                .kv_len = 32768,
                                .num_heads = 1,
                                .num_kv_heads = 1,
                                .head_dim = 64,
                                .threads = threads};
      Register(absl::StrCat("memory/", shape.bfloat16() ? "bf16" : "f32", "/n", shape.kv_len,
                            "/h1/g1/d", shape.head_dim, "/t", threads),
               [=](benchmark::State& state) { Memory(state, shape); });
    }
  }
}

}  // namespace attention
