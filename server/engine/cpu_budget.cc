#include "server/engine/cpu_budget.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace attention::engine {
namespace {

namespace fs = std::filesystem;

std::string FirstLine(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

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

// The folder in which the hierarchy with these controllers is mounted: version 2 has no controllers
// in /proc/self/cgroup; beside version 1 it lies in `unified`.
std::vector<fs::path> Mounts(const fs::path& root, absl::string_view controllers) {
  if (controllers.empty()) return {root, root / "unified"};
  return {root / std::string(controllers), root / "cpu"};
}

bool HasCpuController(absl::string_view controllers) {
  if (controllers.empty()) return true;
  const std::vector<absl::string_view> names = absl::StrSplit(controllers, ',');
  return std::find(names.begin(), names.end(), "cpu") != names.end();
}

}  // namespace

std::optional<double> CgroupCpuQuota(const CgroupFiles& files) {
  std::optional<double> least;
  const auto consider = [&](const fs::path& group) {
    const std::optional<double> quota = QuotaOf(group);
    if (quota && (!least || *quota < *least)) least = quota;
  };
  std::ifstream membership(files.membership);
  for (std::string line; std::getline(membership, line);) {
    // "ID:CONTROLLERS:/PATH"
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3 || !HasCpuController(parts[1])) continue;
    for (const fs::path& mount : Mounts(files.root, parts[1])) {
      // Inside a container the path may name a folder of the host that is not mounted here; then
      // the mount itself is the container's own group.
      consider(mount);
      fs::path group = mount;
      for (const fs::path& step : fs::path(parts[2]).relative_path()) consider(group /= step);
    }
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
