#include "client/load/progress_watch.h"

#include <utility>

namespace attention::client {

ProgressWatch::ProgressWatch(LoadRecorder& recorder, SteadyTime start, OnProgress on_progress)
    : recorder_(recorder), start_(start), on_progress_(std::move(on_progress)) {
  if (on_progress_) thread_ = std::thread([this] { Watch(); });
}

ProgressWatch::~ProgressWatch() {
  if (!thread_.joinable()) return;
  end_.Notify();
  thread_.join();
}

void ProgressWatch::Watch() {
  while (!end_.WaitForNotificationWithTimeout(absl::Seconds(1))) {
    on_progress_(absl::FromChrono(std::chrono::steady_clock::now() - start_),
                 recorder_.TakeProgress());
  }
}

}  // namespace attention::client
