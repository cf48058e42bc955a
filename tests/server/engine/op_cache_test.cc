#include "server/engine/op_cache.h"

#include <gtest/gtest.h>

#include <compare>

namespace attention::engine {
namespace {

// An operator that counts how often one is made.
struct CountedOp {
  struct Config {
    int width = 0;
    auto operator<=>(const Config&) const = default;
  };
  static absl::StatusOr<CountedOp> Create(const Config& config) {
    ++created;
    if (config.width < 1) return absl::InvalidArgumentError("width below 1");
    return CountedOp{config.width};
  }
  int width;
  static inline int created = 0;
};

TEST(OpCache, MakesAnOperatorOnceAndForgetsTheLeastRecentlyUsed) {
  CountedOp::created = 0;
  OpCache<CountedOp> cache(2);
  const auto first = cache.Get({1});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ((*first)->width, 1);
  EXPECT_TRUE(cache.Get({2}).ok());
  EXPECT_TRUE(cache.Get({1}).ok());  // now 2 is the older one
  EXPECT_EQ(CountedOp::created, 2);
  EXPECT_TRUE(cache.Get({3}).ok());
  EXPECT_TRUE(cache.Get({1}).ok());
  EXPECT_EQ(CountedOp::created, 3);
  EXPECT_TRUE(cache.Get({2}).ok());
  EXPECT_EQ(CountedOp::created, 4);
}

TEST(OpCache, AFailureIsReportedAndNotKept) {
  OpCache<CountedOp> cache(2);
  EXPECT_FALSE(cache.Get({0}).ok());
  EXPECT_FALSE(cache.Get({0}).ok());
  EXPECT_TRUE(cache.Get({5}).ok());
}

}  // namespace
}  // namespace attention::engine
