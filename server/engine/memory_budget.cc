#include "server/engine/memory_budget.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"

namespace attention::engine {

std::optional<int64_t> CgroupMemoryLimit(const CgroupFiles& files) {
  std::optional<int64_t> least;
  for (const auto& group : CgroupFolders("memory", files)) {
    // Version 2 says "max" where there is no limit, version 1 a number beyond all memory.
    constexpr int64_t kUnlimited = int64_t{1} << 62;
    for (const char* const name : {"memory.max", "memory.limit_in_bytes"}) {
      int64_t limit = 0;
      if (absl::SimpleAtoi(FirstLine(group / name), &limit) && limit > 0 && limit < kUnlimited) {
        least = std::min(limit, least.value_or(limit));
      }
    }
  }
  return least;
}

int64_t MemoryBudget(const CgroupFiles& files) {
  constexpr int64_t kMost = int64_t{1} << 30;
  return std::min(kMost, CgroupMemoryLimit(files).value_or(2 * kMost) / 2);
}

int64_t LayerMemoryBudget(const CgroupFiles& files) {
  const int64_t machine = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return std::min(machine, CgroupMemoryLimit(files).value_or(machine)) / 4;
}

}  // namespace attention::engine
