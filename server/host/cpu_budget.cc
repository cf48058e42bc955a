#include "server/host/cpu_budget.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace attention::engine {
namespace {

namespace fs = std::filesystem;

// The quota that one group folder sets, in CPUs.
std::optional<double> QuotaOf(const fs::path& group) {
  // Version 2: "QUOTA PERIOD" in microseconds, or "max PERIOD".
  const std::vector<std::string> v2 = absl::StrSplit(FirstLine(group / "cpu.max"), ' ');
  double quota = 0, period = 0;
  if (v2.size() == 2 && absl::SimpleAtod(v2[0], &quota) && absl::SimpleAtod(v2[1], &period) &&
      quota > 0 && period > 0) {
    return quota / period;
  }
  // Version 1: two files; a quota of -1 means none.
  if (absl::SimpleAtod(FirstLine(group / "cpu.cfs_quota_us"), &quota) &&
      absl::SimpleAtod(FirstLine(group / "cpu.cfs_period_us"), &period) && quota > 0 &&
      period > 0) {
    return quota / period;
  }
  return std::nullopt;
}

}  // namespace

std::optional<double> CgroupCpuQuota(const CgroupFiles& files) {
  std::optional<double> least;
  for (const fs::path& group : CgroupFolders("cpu", files)) {
    const std::optional<double> quota = QuotaOf(group);
    if (quota && (!least || *quota < *least)) least = quota;
  }
  return least;
}

int CpuBudget(const CgroupFiles& files) {
  cpu_set_t affinity;
  double cpus = std::max(1u, std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof(affinity), &affinity) == 0) cpus = CPU_COUNT(&affinity);
  if (const std::optional<double> quota = CgroupCpuQuota(files)) cpus = std::min(cpus, *quota);
  return std::max(1, static_cast<int>(std::floor(cpus)));
}

}  // namespace attention::engine
