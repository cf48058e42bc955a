#include "server/rpc/shared/calls_in_flight.h"

#include "absl/time/clock.h"

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
  if (count_ == 0) none_.SignalAll();
}

int64_t CallsInFlight::activity() const {
  absl::MutexLock lock(&mutex_);
  return activity_;
}

bool CallsInFlight::Drain(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  while (count_ > 0) {
    if (none_.WaitWithDeadline(&mutex_, deadline)) break;
  }
  return count_ == 0;
}

absl::Status ShuttingDown() {
  return absl::UnavailableError("the server is shutting down; call another one");
}

}  // namespace attention::rpc
