#ifndef ATTENTION_SERVER_ENGINE_MEMORY_BUDGET_H_
#define ATTENTION_SERVER_ENGINE_MEMORY_BUDGET_H_

#include <cstdint>
#include <optional>

#include "server/engine/cgroup.h"

namespace attention::engine {

// The bytes of memory that control groups grant this process: the least limit of its own group and
// all groups above it, version 1 (memory.limit_in_bytes) and 2 (memory.max) alike. Whoever takes
// more is killed. Empty where none sets a limit.
std::optional<int64_t> CgroupMemoryLimit(const CgroupFiles& files = {});

// The bytes that one call may take for intermediate results: 1 GiB, or half of the limit where that
// is less. The other half is for its request and response and for the process itself.
int64_t MemoryBudget(const CgroupFiles& files = {});

// The bytes that stored layers may take together: a quarter of the limit, or of the machine's
// memory where that is less.
int64_t LayerMemoryBudget(const CgroupFiles& files = {});

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_MEMORY_BUDGET_H_
