#ifndef ATTENTION_SERVER_HOST_CPU_BUDGET_H_
#define ATTENTION_SERVER_HOST_CPU_BUDGET_H_

#include <optional>

#include "server/host/cgroup.h"

namespace attention::engine {

// The CPUs' worth of time that control groups grant this process, e.g. 1.5: the least quota of its
// own group and all groups above it, version 1 (cpu.cfs_quota_us) and 2 (cpu.max) alike. Empty
// where none sets a quota.
std::optional<double> CgroupCpuQuota(const CgroupFiles& files = {});

// The compute threads that this process should run: max(1, floor(min(CPUs in the affinity mask,
// quota))). More of them than that are throttled and slow each other down.
int CpuBudget(const CgroupFiles& files = {});

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_HOST_CPU_BUDGET_H_
