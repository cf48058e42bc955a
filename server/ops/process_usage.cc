#include "server/ops/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "kernels/threads/executor.h"
#include "server/host/cgroup.h"

namespace attention::ops {
namespace {

namespace fs = std::filesystem;

absl::Duration ComputeCpu() {
  absl::Duration sum;
  std::error_code error;  // threads may end while they are counted
  for (const fs::directory_entry& task : fs::directory_iterator("/proc/self/task", error)) {
    if (engine::FirstLine(task.path() / "comm") != Executor::kThreadName) continue;
    // Nanoseconds on a CPU, nanoseconds waiting for one, and how often.
    std::ifstream in(task.path() / "schedstat");
    int64_t nanoseconds = 0;
    if (in >> nanoseconds) sum += absl::Nanoseconds(nanoseconds);
  }
  return sum;
}

void ReadCgroup(ProcessUsage& usage) {
  // The innermost group that counts.
  for (const fs::path& group : engine::CgroupFolders("cpu", {})) {
    std::ifstream in(group / "cpu.stat");
    std::string name;
    for (int64_t value = 0; in >> name >> value;) {
      if (name == "nr_periods") usage.cgroup_periods = value;
      if (name == "nr_throttled") usage.cgroup_throttled_periods = value;
      if (name == "throttled_usec") usage.cgroup_throttled = absl::Microseconds(value);
      if (name == "throttled_time") usage.cgroup_throttled = absl::Nanoseconds(value);
    }
  }
}

}  // namespace

int64_t ResidentBytes() {
  int64_t pages = 0, resident_pages = 0;
  std::ifstream statm("/proc/self/statm");
  return statm >> pages >> resident_pages ? resident_pages * sysconf(_SC_PAGESIZE) : 0;
}

ProcessUsage ReadProcessUsage() {
  ProcessUsage usage;
  rusage used = {};
  if (getrusage(RUSAGE_SELF, &used) == 0) {
    usage.cpu = absl::DurationFromTimeval(used.ru_utime) + absl::DurationFromTimeval(used.ru_stime);
  }
  usage.compute_cpu = ComputeCpu();
  usage.resident_bytes = ResidentBytes();
  ReadCgroup(usage);
  return usage;
}

}  // namespace attention::ops
