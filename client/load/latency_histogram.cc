#include "client/load/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/numeric/bits.h"

namespace attention::client {

int LatencyHistogram::IndexOf(int64_t microseconds) {
  const auto value = static_cast<uint64_t>(microseconds);
  // The value is shifted until it has kBits binary digits, of which the first is 1.
  const int shift = std::max(0, static_cast<int>(absl::bit_width(value)) - kBits);
  return (shift << (kBits - 1)) + static_cast<int>(value >> shift);
}

int64_t LatencyHistogram::UpperOf(int index) {
  constexpr int kHalf = 1 << (kBits - 1);
  const int shift = std::max(0, index / kHalf - 1);
  const int64_t digits = index - (int64_t{shift} << (kBits - 1));
  return ((digits + 1) << shift) - 1;
}

void LatencyHistogram::Add(absl::Duration duration) {
  constexpr int64_t kMost = (int64_t{1} << kMostBits) - 1;
  duration = std::max(duration, absl::ZeroDuration());
  const auto index =
      static_cast<size_t>(IndexOf(std::min(absl::ToInt64Microseconds(duration), kMost)));
  if (index >= counts_.size()) counts_.resize(index + 1);
  ++counts_[index];
  ++count_;
  sum_ += duration;
  max_ = std::max(max_, duration);
}

void LatencyHistogram::Add(const LatencyHistogram& other) {
  if (other.counts_.size() > counts_.size()) counts_.resize(other.counts_.size());
  for (size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

absl::Duration LatencyHistogram::Mean() const {
  return count_ == 0 ? absl::ZeroDuration() : sum_ / count_;
}

absl::Duration LatencyHistogram::Percentile(double percent) const {
  const auto wanted = static_cast<int64_t>(std::ceil(percent / 100 * static_cast<double>(count_)));
  int64_t seen = 0;
  for (const Step& step : Steps()) {
    seen += step.count;
    if (seen >= wanted) return std::min(step.upper, max_);
  }
  return max_;
}

std::vector<LatencyHistogram::Step> LatencyHistogram::Steps() const {
  std::vector<Step> steps;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    // A step holds durations below its next whole microsecond.
    steps.push_back({absl::Microseconds(UpperOf(static_cast<int>(i)) + 1), counts_[i]});
  }
  return steps;
}

}  // namespace attention::client
