#include "client/load/timer.h"

#include <utility>
#include <vector>

namespace attention::client {

Timer::Timer() : thread_([this] { Work(); }) {}

Timer::~Timer() {
  {
    const absl::MutexLock lock(&mutex_);
    end_ = true;
  }
  changed_.Signal();
  thread_.join();
}

void Timer::After(absl::Duration delay, std::function<void()> what) {
  const auto when = Clock::now() + absl::ToChronoNanoseconds(delay);
  const absl::MutexLock lock(&mutex_);
  const auto place = due_.emplace(when, std::move(what));
  if (place != due_.begin()) return;
  news_ = true;
  changed_.Signal();
}

void Timer::WaitUntil(Clock::time_point then) {
  while (!news_ && !end_) {
    const absl::Duration left = absl::FromChrono(then - Clock::now());
    if (left <= absl::ZeroDuration()) return;
    changed_.WaitWithTimeout(&mutex_, left);
  }
}

void Timer::Work() {
  for (;;) {
    std::vector<std::function<void()>> now;
    {
      const absl::MutexLock lock(&mutex_);
      WaitUntil(due_.empty() ? Clock::now() + std::chrono::seconds(1) : due_.begin()->first);
      if (end_) return;
      news_ = false;
      const auto later = due_.upper_bound(Clock::now());
      for (auto it = due_.begin(); it != later; ++it) now.push_back(std::move(it->second));
      due_.erase(due_.begin(), later);
    }
    for (const auto& what : now) what();
  }
}

}  // namespace attention::client
