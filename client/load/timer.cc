#include "client/load/timer.h"

#include <utility>
#include <vector>

namespace attention::client {

using Clock = std::chrono::steady_clock;

Timer::Timer() : thread_([this] { Work(); }) {}

Timer::~Timer() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Timer::After(absl::Duration delay, std::function<void()> what) {
  const auto when = Clock::now() + absl::ToChronoNanoseconds(delay);
  const std::lock_guard lock(mutex_);
  const auto place = due_.emplace(when, std::move(what));
  if (place != due_.begin()) return;
  news_ = true;
  changed_.notify_one();
}

void Timer::Work() {
  for (;;) {
    std::vector<std::function<void()>> now;
    {
      std::unique_lock lock(mutex_);
      const auto next = due_.empty() ? Clock::now() + std::chrono::seconds(1) : due_.begin()->first;
      changed_.wait_until(lock, next, [this] { return news_ || end_; });
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
