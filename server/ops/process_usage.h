#ifndef ATTENTION_SERVER_OPS_PROCESS_USAGE_H_
#define ATTENTION_SERVER_OPS_PROCESS_USAGE_H_

#include <cstdint>

#include "absl/time/time.h"

namespace attention::ops {

// What this process uses, as the kernel counts it; 0 where it does not.
struct ProcessUsage {
  absl::Duration cpu;          // of all threads, those that have ended included
  absl::Duration compute_cpu;  // of the compute threads (Executor::kThreadName)
  int64_t resident_bytes = 0;
  // Of its control group (cpu.stat, versions 1 and 2): periods with a CPU quota, those in which it
  // was used up, and for how long threads then waited.
  int64_t cgroup_periods = 0;
  int64_t cgroup_throttled_periods = 0;
  absl::Duration cgroup_throttled;
};

ProcessUsage ReadProcessUsage();

// Memory that this process has; 0 where the kernel does not say.
int64_t ResidentBytes();

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_PROCESS_USAGE_H_
