#ifndef ATTENTION_CLIENT_LOAD_TIMER_H_
#define ATTENTION_CLIENT_LOAD_TIMER_H_

#include <chrono>
#include <functional>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attention::client {

// Does things after given times, on a thread of its own. Thread-safe. The lock guards what is due;
// things are done without it, and no other lock is taken under it.
class Timer {
 public:
  Timer();
  ~Timer();  // functions that are not due yet are dropped

  // `what` must be short and must not block.
  void After(absl::Duration delay, std::function<void()> what);

 private:
  using Clock = std::chrono::steady_clock;

  void Work() ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns then, or when there are news_, or when this is to end_.
  void WaitUntil(Clock::time_point then) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  absl::CondVar changed_;  // news_ or end_
  std::multimap<Clock::time_point, std::function<void()>> due_ ABSL_GUARDED_BY(mutex_);
  bool news_ ABSL_GUARDED_BY(mutex_) = false;  // something is due earlier than all before
  bool end_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_TIMER_H_
