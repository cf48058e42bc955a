#ifndef ATTENTION_CLIENT_LOAD_LATENCY_HISTOGRAM_H_
#define ATTENTION_CLIENT_LOAD_LATENCY_HISTOGRAM_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace attention::client {

// Counts durations from a microsecond to hours in a few kilobytes, however many there are, so that
// any percentile is known to within 1 part in 128. It is a high dynamic range histogram, as Gil
// Tene's: each power of two is cut into equal steps. Not thread-safe.
class LatencyHistogram {
 public:
  // Durations below 0 count as 0, those above 2^36 us (19 hours) as 2^36 us.
  void Add(absl::Duration duration);
  void Add(const LatencyHistogram& other);

  int64_t count() const { return count_; }
  absl::Duration max() const { return max_; }  // exact
  absl::Duration Mean() const;                 // exact; 0 if nothing was counted
  // Returns the smallest upper end of a step that at least `percent` (0 to 100) of all durations do
  // not exceed, but at most max(); 0 if nothing was counted.
  absl::Duration Percentile(double percent) const;

  // A step in which something was counted, with durations up to `upper`.
  struct Step {
    absl::Duration upper;
    int64_t count = 0;
  };
  std::vector<Step> Steps() const;  // ascending

 private:
  // Below 2^kBits us each microsecond is a step; above, each power of two is cut into 2^(kBits -
  // 1).
  static constexpr int kBits = 8;
  static constexpr int kMostBits = 36;
  static int IndexOf(int64_t microseconds);
  static int64_t UpperOf(int index);  // microseconds

  std::vector<int64_t> counts_;  // by step, up to the last that was needed
  int64_t count_ = 0;
  absl::Duration sum_, max_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LATENCY_HISTOGRAM_H_
