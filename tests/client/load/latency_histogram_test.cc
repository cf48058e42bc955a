#include "client/load/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace attention::client {
namespace {

TEST(LatencyHistogram, ReportsNoLatencyWhereNothingWasAnswered) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.Percentile(99), absl::ZeroDuration());
  EXPECT_EQ(histogram.Mean(), absl::ZeroDuration());
  EXPECT_TRUE(histogram.Steps().empty());
}

TEST(LatencyHistogram, KnowsPercentilesOfAnySizeToOnePartIn128) {
  std::mt19937 random(1);
  LatencyHistogram histogram;
  std::vector<absl::Duration> all;
  for (int i = 0; i < 20000; ++i) {
    // From 1 us to an hour, each power of two as likely.
    const double exponent = std::uniform_real_distribution<double>(0, 31.7)(random);
    all.push_back(absl::Microseconds(std::exp2(exponent)));
    histogram.Add(all.back());
  }
  std::sort(all.begin(), all.end());
  for (const double percent : {0.01, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const absl::Duration want = all[std::ceil(percent / 100 * 20000) - 1];
    const absl::Duration got = histogram.Percentile(percent);
    EXPECT_GE(got, want) << percent;
    EXPECT_LE(got, want + want / 128 + absl::Microseconds(1)) << percent;
  }
  EXPECT_EQ(histogram.max(), all.back());
}

TEST(LatencyHistogram, KeepsEveryCountAtTheEdgesOfItsSteps) {
  LatencyHistogram histogram;
  int64_t count = 0;
  for (int bits = 0; bits < 36; ++bits) {
    for (const int64_t off : {-1, 0, 1}) {
      const int64_t microseconds = (int64_t{1} << bits) + off;
      const absl::Duration duration = absl::Microseconds(microseconds);
      LatencyHistogram alone;
      alone.Add(duration);
      ASSERT_EQ(alone.Steps().size(), 1u);
      EXPECT_EQ(alone.Percentile(50), duration) << "its one duration is its largest";
      EXPECT_GE(alone.Steps()[0].upper, duration) << microseconds;
      histogram.Add(alone);
      ++count;
    }
  }
  EXPECT_EQ(histogram.count(), count);
  int64_t in_steps = 0;
  for (const auto& step : histogram.Steps()) in_steps += step.count;
  EXPECT_EQ(in_steps, count);
}

TEST(LatencyHistogram, CountsWhatIsBeyondItsStepsInTheLast) {
  LatencyHistogram histogram;
  histogram.Add(absl::Hours(1000));
  EXPECT_EQ(histogram.max(), absl::Hours(1000));
  EXPECT_GT(histogram.Percentile(50), absl::Hours(19));
}

TEST(LatencyHistogram, TakesWhatIsBelowZeroForZero) {
  LatencyHistogram histogram;
  histogram.Add(-absl::Seconds(1));
  EXPECT_EQ(histogram.max(), absl::ZeroDuration());
  EXPECT_EQ(histogram.count(), 1);
}

}  // namespace
}  // namespace attention::client
