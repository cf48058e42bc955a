#include "server/host/memory_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/server/host/cgroup_folder.h"

namespace attention::engine {
namespace {

constexpr int64_t kMib = 1 << 20;

using MemoryBudgetTest = CgroupFolder;

TEST_F(MemoryBudgetTest, WithoutALimitTheMachinesMemoryIsGranted) {
  EXPECT_EQ(CgroupMemoryLimit(files_), std::nullopt);
  EXPECT_GT(GrantedMemory(files_), 256 * kMib);
}

TEST_F(MemoryBudgetTest, ReadsALimitOfVersion2) {
  Write("membership", "0::/");
  Write("cgroup/memory.max", "268435456");
  EXPECT_EQ(CgroupMemoryLimit(files_), 256 * kMib);
  EXPECT_EQ(GrantedMemory(files_), 256 * kMib);
}

TEST(MemoryPlan, ItsPartsLeaveRoomForTheProgram) {
  for (const int64_t total : {512, 1024, 2048, 24 << 10, 1 << 20}) {
    SCOPED_TRACE(total);
    const auto plan = PlanMemory({.total = total * kMib, .largest_message = 64 * kMib});
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_GE(plan->messages, 3 * 64 * kMib);
    EXPECT_GE(plan->working, 64 * kMib);
    EXPECT_GE(plan->layers, 32 * kMib);
    EXPECT_LE(plan->messages + plan->transport + plan->working + plan->layers, (total - 64) * kMib);
  }
}

TEST(MemoryPlan, TakesWhatIsWishedForAndSaysWhatIsTooMuch) {
  MemoryWishes wishes = {.total = 2048 * kMib,
                         .largest_message = 64 * kMib,
                         .messages = 300 * kMib,
                         .working = 200 * kMib,
                         .layers = 900 * kMib};
  const auto plan = PlanMemory(wishes);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->messages, 300 * kMib);
  EXPECT_EQ(plan->working, 200 * kMib);
  EXPECT_EQ(plan->layers, 900 * kMib);
  wishes.layers = 1500 * kMib;
  EXPECT_THAT(std::string(PlanMemory(wishes).status().message()),
              testing::HasSubstr("2048 MiB of memory (--memory_mib) are too few"));
  wishes.messages = 100 * kMib;
  EXPECT_THAT(std::string(PlanMemory(wishes).status().message()),
              testing::HasSubstr("--max_queued_mib is 100; want at least 192"));
  EXPECT_FALSE(PlanMemory({.total = 128 * kMib, .largest_message = 64 * kMib}).ok());
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
