#include "server/engine/memory_budget.h"

#include <gtest/gtest.h>

#include "tests/server/engine/cgroup_folder.h"

namespace attention::engine {
namespace {

constexpr int64_t kMib = 1 << 20;

using MemoryBudgetTest = CgroupFolder;

TEST_F(MemoryBudgetTest, WithoutALimitItIsOneGib) {
  EXPECT_EQ(CgroupMemoryLimit(files_), std::nullopt);
  EXPECT_EQ(MemoryBudget(files_), 1024 * kMib);
}

TEST_F(MemoryBudgetTest, IsHalfOfALimitOfVersion2) {
  Write("membership", "0::/");
  Write("cgroup/memory.max", "536870912");
  EXPECT_EQ(CgroupMemoryLimit(files_), 512 * kMib);
  EXPECT_EQ(MemoryBudget(files_), 256 * kMib);
}

TEST_F(MemoryBudgetTest, IsNeverMoreThanOneGib) {
  Write("membership", "0::/");
  Write("cgroup/memory.max", "137438953472");
  EXPECT_EQ(MemoryBudget(files_), 1024 * kMib);
}

TEST_F(MemoryBudgetTest, TakesTheLeastLimitOfAllGroupsAbove) {
  Write("membership", "0::/pod/container");
  Write("cgroup/pod/memory.max", "1048576");
  Write("cgroup/pod/container/memory.max", "2097152");
  EXPECT_EQ(CgroupMemoryLimit(files_), kMib);
}

TEST_F(MemoryBudgetTest, ReadsALimitOfVersion1WhereThePathIsTheHosts) {
  Write("membership", "4:cpu,cpuacct:/docker/abc\n12:memory:/docker/abc");
  Write("cgroup/memory/memory.limit_in_bytes", "3145728");
  Write("cgroup/cpu,cpuacct/memory.limit_in_bytes", "1");
  EXPECT_EQ(CgroupMemoryLimit(files_), 3 * kMib);
}

TEST_F(MemoryBudgetTest, NoLimitAndBrokenFilesGrantEverything) {
  Write("membership", "4:memory:/\n0::/\nnonsense");
  Write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  Write("cgroup/memory.max", "max");
  Write("cgroup/unified/memory.max", "gibberish");
  EXPECT_EQ(CgroupMemoryLimit(files_), std::nullopt);
}

}  // namespace
}  // namespace attention::engine
