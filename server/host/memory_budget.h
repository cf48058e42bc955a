#ifndef ATTENTION_SERVER_HOST_MEMORY_BUDGET_H_
#define ATTENTION_SERVER_HOST_MEMORY_BUDGET_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "server/host/cgroup.h"

namespace attention::engine {

// The bytes of memory that control groups grant this process: the least limit of its own group and
// all groups above it, version 1 (memory.limit_in_bytes) and 2 (memory.max) alike. Whoever takes
// more is killed. Empty where none sets a limit.
std::optional<int64_t> CgroupMemoryLimit(const CgroupFiles& files = {});

// What this process may take: the limit, or the machine's memory where that is less.
int64_t GrantedMemory(const CgroupFiles& files = {});

// How a server's memory is shared out, in bytes. Each part is held to its own bound, so the whole
// never takes more than `total`.
struct MemoryPlan {
  int64_t total = 0;
  int64_t messages = 0;   // requests and responses of the calls in flight
  int64_t transport = 0;  // of gRPC: what has arrived, and is no message yet
  int64_t working = 0;    // intermediate results of the calls that run
  int64_t layers = 0;     // stored layers: packed ones, and files that are kept in memory
  // The rest is for the program, its threads' stacks and the gaps between blocks of memory.
};

// What is wished for; 0: what suits `total`.
struct MemoryWishes {
  int64_t total = 0;
  int64_t largest_message = 0;
  int64_t messages = 0;
  int64_t working = 0;
  int64_t layers = 0;
};

// A call with the largest request and response fits into the plan. RESOURCE_EXHAUSTED, with words
// for the user, where the parts that are wished for, or need be, are more than the total.
absl::StatusOr<MemoryPlan> PlanMemory(const MemoryWishes& wishes);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_HOST_MEMORY_BUDGET_H_
