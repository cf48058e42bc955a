#include "server/rpc/calls_in_flight.h"

namespace attention::rpc {

bool CallsInFlight::Enter() {
  absl::MutexLock lock(&mutex_);
  if (draining_) return false;
  ++count_;
  ++activity_;
  return true;
}

void CallsInFlight::Leave() {
  absl::MutexLock lock(&mutex_);
  --count_;
  ++activity_;
}

int64_t CallsInFlight::activity() const {
  absl::MutexLock lock(&mutex_);
  return activity_;
}

bool CallsInFlight::Drain(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  return mutex_.AwaitWithTimeout(absl::Condition(this, &CallsInFlight::None), limit);
}

absl::Status ShuttingDown() {
  return absl::UnavailableError("the server is shutting down; call another one");
}

}  // namespace attention::rpc
