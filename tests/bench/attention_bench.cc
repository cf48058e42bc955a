// What the operator reaches of what the machine can do, as Google Benchmark JSON:
//
//   attention_bench --benchmark_out=bench.json --benchmark_out_format=json
//   python3 tests/bench/bars.py bench.json        a table of the bars, met or not
//
// All of them take about six minutes; the machine should have nothing else to do.
// --benchmark_filter=REGEX picks benchmarks by name; cases.h says which there are and what they
// count. No time is printed for a result that the oracle does not confirm: such a benchmark reports
// an error. A time is the median of rounds in which the operator and what it is measured against
// take turns, and a ratio is the median of the rounds' ratios.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/bench/cases.h"
#include "tests/bench/sides.h"

namespace {

// What Google Benchmark puts behind the names of benchmarks that do their own timing, once.
constexpr std::string_view kSuffix = "/iterations:1/manual_time";

// Reports as Base does, names as they were registered.
template <class Base>
class PlainNames : public Base {
 public:
  void ReportRuns(const std::vector<benchmark::BenchmarkReporter::Run>& runs) override {
    std::vector<benchmark::BenchmarkReporter::Run> plain = runs;
    for (auto& run : plain) {
      run.run_name.iterations.clear();
      run.run_name.time_type.clear();
    }
    Base::ReportRuns(plain);
  }
};

// The filter, for names with their suffix.
std::string Filter() {
  std::string filter = benchmark::GetBenchmarkFilter();
  if (!filter.empty() && filter.back() == '$') filter.insert(filter.size() - 1, kSuffix);
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  // As the server does.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  bool json = false, file = false;
  for (const std::string_view argument : std::vector<std::string_view>(argv + 1, argv + argc)) {
    json |= argument == "--benchmark_format=json";
    file |= argument.starts_with("--benchmark_out=");
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("bfloat16_products", attention::HasBfloat16Products() ? "yes" : "no");
  attention::RegisterAttention();
  attention::RegisterSettings();
  attention::RegisterDecode();
  attention::RegisterEncoder();
  attention::RegisterMemory();
  attention::RegisterFirstCall();

  PlainNames<benchmark::ConsoleReporter> console;
  PlainNames<benchmark::JSONReporter> json_display, json_file;
  benchmark::BenchmarkReporter* display = &console;
  if (json) display = &json_display;
  benchmark::RunSpecifiedBenchmarks(display, file ? &json_file : nullptr, Filter());
  benchmark::Shutdown();
  return 0;
}
