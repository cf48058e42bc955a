#ifndef ATTENTION_CLIENT_LOAD_TIMER_H_
#define ATTENTION_CLIENT_LOAD_TIMER_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace attention::client {

// Does things after given times, on a thread of its own. Thread-safe.
class Timer {
 public:
  Timer();
  ~Timer();  // what has not come to its time by then is not done

  // `what` is short and does not wait.
  void After(absl::Duration delay, std::function<void()> what);

 private:
  void Work();

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> due_;
  bool news_ = false;  // something is due earlier than all before
  bool end_ = false;
  std::thread thread_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_TIMER_H_
