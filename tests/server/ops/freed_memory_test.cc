#include "server/ops/freed_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "server/ops/process_usage.h"
#include "tests/server/within.h"

namespace attention::ops {
namespace {

constexpr int64_t kMib = 1 << 20;

class FreedMemory : public testing::Test {
 protected:
  void SetUp() override {
#ifdef ATTENTION_SANITIZED
    GTEST_SKIP() << "sanitizers bring an allocator of their own";
#endif
    KeepFreedMemory(2);
  }

  // Blocks of 4 MiB, as messages are; returns what the process then has.
  static int64_t UseAndFree(int64_t mib) {
    std::vector<std::unique_ptr<char[]>> blocks;
    for (int64_t i = 0; i < mib; i += 4) {
      blocks.push_back(std::make_unique<char[]>(4 * kMib));  // zeroed: touched
    }
    const int64_t used = ResidentBytes();
    blocks.clear();
    return used;
  }
};

TEST_F(FreedMemory, StaysUntilTheProcessHasBeenIdle) {
  std::atomic<int64_t> activity = 0;
  std::atomic<int> let_go = 0;
  const FreedMemoryTrimmer trimmer({.idle = absl::Seconds(2),
                                    .activity = [&] { return ++activity; },
                                    .let_go = [&] { ++let_go; }});
  const int64_t used = UseAndFree(200);
  EXPECT_GT(ResidentBytes(), used - 10 * kMib);
  absl::SleepFor(absl::Seconds(3));
  EXPECT_GT(ResidentBytes(), used - 10 * kMib) << "something went on all the time";
  EXPECT_EQ(let_go, 0);
}

TEST_F(FreedMemory, GoesBackOnceTheProcessHasBeenIdle) {
  std::atomic<int> let_go = 0;
  const FreedMemoryTrimmer trimmer({.idle = absl::Seconds(1),
                                    .activity = [] { return int64_t{7}; },
                                    .let_go = [&] { ++let_go; }});
  const int64_t used = UseAndFree(200);
  EXPECT_TRUE(Within(absl::Seconds(30), [&] { return ResidentBytes() < used - 150 * kMib; }));
  absl::SleepFor(absl::Seconds(2));
  EXPECT_EQ(let_go, 1) << "once, not again and again";
}

TEST_F(FreedMemory, GoesBackAtOnceWhereTheProcessHasTooMuch) {
  std::atomic<int64_t> activity = 0;
  const int64_t before = ResidentBytes();
  const FreedMemoryTrimmer trimmer({.idle = absl::Hours(1),
                                    .most_resident_bytes = before + 50 * kMib,
                                    .activity = [&] { return ++activity; },
                                    .let_go = nullptr});
  UseAndFree(200);
  EXPECT_TRUE(Within(absl::Seconds(30), [&] { return ResidentBytes() < before + 50 * kMib; }));
}

}  // namespace
}  // namespace attention::ops
