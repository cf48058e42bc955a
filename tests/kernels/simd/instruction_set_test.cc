// That the two ways in which the tests are run, with and without ONEDNN_MAX_CPU_ISA=AVX2, are two.
#include "kernels/simd/instruction_set.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <string_view>

#include "kernels/onednn/onednn_info.h"

namespace attention {
namespace {

constexpr int64_t kAvx512 = HWY_AVX2 - 1;  // each kind of it: Highway numbers its targets downwards

TEST(InstructionSet, IsTheOneThatTheEnvironmentAllowsInOnednnAndInHighway) {
  LimitInstructionSet();
  const char* const limit = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (limit == nullptr || std::string_view(limit) != "AVX2") {
    GTEST_SKIP() << "no limit is set; oneDNN uses " << OnednnIsa();
  }
  EXPECT_EQ(OnednnIsa(), "avx2");
  EXPECT_EQ(hwy::SupportedTargets() & kAvx512, 0);
  EXPECT_NE(hwy::SupportedTargets() & HWY_AVX2, 0);
}

TEST(InstructionSet, IsAvx512WhereTheMachineHasIt) {
  LimitInstructionSet();
  if (std::getenv("ONEDNN_MAX_CPU_ISA") != nullptr) GTEST_SKIP() << "a limit is set";
  if (__builtin_cpu_supports("avx512dq") == 0) {
    GTEST_SKIP() << "this machine has no AVX-512: only AVX2's kernels are tested";
  }
  EXPECT_TRUE(std::string_view(OnednnIsa()).starts_with("avx512")) << OnednnIsa();
  EXPECT_NE(hwy::SupportedTargets() & kAvx512, 0);
}

}  // namespace
}  // namespace attention
