#ifndef ATTENTION_SERVER_ENGINE_DRAIN_RATE_H_
#define ATTENTION_SERVER_ENGINE_DRAIN_RATE_H_

#include <chrono>
#include <cmath>

#include "server/engine/job.h"

namespace attention::engine {

// How fast the compute threads get through work, as measured: operations done per second in which
// there was work, where what was done a while ago counts less. Not thread-safe.
class DrainRate {
 public:
  // There was no work until now, or none whose duration tells anything.
  void Resume(SteadyClock::time_point now) { since_ = now; }

  // There has been work since the last call of either, and `flop` of it are done now.
  void Done(double flop, SteadyClock::time_point now) {
    const double seconds = std::chrono::duration<double>(now - since_).count();
    const double old = std::exp(-seconds / kMemorySeconds);
    flop_ = flop_ * old + flop;
    seconds_ = seconds_ * old + seconds;
    since_ = now;
  }

  // Operations a second; 0 as long as too little was done to tell.
  double flop_per_second() const { return seconds_ < kLeastSeconds ? 0 : flop_ / seconds_; }

 private:
  static constexpr double kMemorySeconds = 5;
  static constexpr double kLeastSeconds = 0.02;

  SteadyClock::time_point since_;
  double flop_ = 0, seconds_ = 0;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_DRAIN_RATE_H_
