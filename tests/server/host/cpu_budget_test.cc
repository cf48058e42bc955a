#include "server/host/cpu_budget.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "tests/server/host/cgroup_folder.h"

namespace attention::engine {
namespace {

using CpuBudgetTest = CgroupFolder;

TEST_F(CpuBudgetTest, WithoutAQuotaItIsTheAffinityMask) {
  cpu_set_t affinity;
  ASSERT_EQ(sched_getaffinity(0, sizeof(affinity), &affinity), 0);
  EXPECT_EQ(CgroupCpuQuota(files_), std::nullopt);
  EXPECT_EQ(CpuBudget(files_), CPU_COUNT(&affinity));
}

TEST_F(CpuBudgetTest, ReadsAQuotaOfVersion2) {
  Write("membership", "0::/");
  Write("cgroup/cpu.max", "150000 100000");
  EXPECT_EQ(CgroupCpuQuota(files_), 1.5);
  EXPECT_EQ(CpuBudget(files_), 1);
}

TEST_F(CpuBudgetTest, TakesTheLeastQuotaOfAllGroupsAbove) {
  Write("membership", "0::/pod/container");
  Write("cgroup/pod/cpu.max", "50000 100000");
  Write("cgroup/pod/container/cpu.max", "max 100000");
  EXPECT_EQ(CgroupCpuQuota(files_), 0.5);
  EXPECT_EQ(CpuBudget(files_), 1) << "never less than one thread";
}

TEST_F(CpuBudgetTest, ReadsAQuotaOfVersion1WhereThePathIsTheHosts) {
  Write("membership", "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc");
  Write("cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000");
  Write("cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
  EXPECT_EQ(CgroupCpuQuota(files_), 3.0);
}

TEST_F(CpuBudgetTest, NoQuotaAndBrokenFilesGrantEverything) {
  Write("membership", "4:cpu:/\n0::/\nnonsense");
  Write("cgroup/cpu/cpu.cfs_quota_us", "-1");
  Write("cgroup/cpu/cpu.cfs_period_us", "100000");
  Write("cgroup/cpu.max", "max 100000");
  Write("cgroup/unified/cpu.max", "gibberish");
  EXPECT_EQ(CgroupCpuQuota(files_), std::nullopt);
}

}  // namespace
}  // namespace attention::engine
