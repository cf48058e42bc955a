#ifndef ATTENTION_CLIENT_LOAD_PROGRESS_WATCH_H_
#define ATTENTION_CLIENT_LOAD_PROGRESS_WATCH_H_

#include <functional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "client/load/load_result.h"

namespace attention::client {

// Receives what happened in the last second, and the time since the start of the test, which is
// below 0 during the warm-up.
using OnProgress = std::function<void(absl::Duration since_start, const LoadProgress& last)>;

// Reports the progress of a test once a second, on a thread of its own, until it is destroyed.
class ProgressWatch {
 public:
  // `on_progress` may be empty; then nothing is reported. The recorder must outlive this.
  ProgressWatch(LoadRecorder& recorder, SteadyTime start, OnProgress on_progress);
  ~ProgressWatch();

 private:
  void Watch();

  LoadRecorder& recorder_;
  const SteadyTime start_;
  const OnProgress on_progress_;
  absl::Notification end_;
  std::thread thread_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_PROGRESS_WATCH_H_
