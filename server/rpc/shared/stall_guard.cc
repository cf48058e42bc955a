#include "server/rpc/shared/stall_guard.h"

#include <grpc/grpc.h>

#include <string>
#include <utility>
#include <vector>

namespace attention::rpc {

using engine::SteadyClock;

StallGuard::StallGuard(absl::Duration limit, std::function<void(const std::string& peer)> on_stall)
    : limit_(limit), on_stall_(std::move(on_stall)), thread_([this] { Watch(); }) {}

StallGuard::~StallGuard() {
  {
    const absl::MutexLock lock(&mutex_);
    end_ = true;
  }
  changed_.SignalAll();
  thread_.join();
}

void StallGuard::Wait::Begin(absl::Duration most) {
  const absl::MutexLock lock(&guard_.mutex_);
  if (waits_) guard_.due_.erase(place_);
  place_ = guard_.due_.emplace(SteadyClock::now() + absl::ToChronoNanoseconds(most), this);
  waits_ = true;
}

void StallGuard::Wait::End() {
  const absl::MutexLock lock(&guard_.mutex_);
  if (waits_) guard_.due_.erase(place_);
  waits_ = false;
}

// Waits for end_, but no longer than `time`; returns it. Abseil's release 20220623 measures a wait
// by the wall clock: where that is set forward, there is another wait; where it is set back, this
// one takes longer by as much.
bool StallGuard::StopsWithin(absl::Duration time) {
  const SteadyClock::time_point until = SteadyClock::now() + absl::ToChronoNanoseconds(time);
  while (!end_) {
    const absl::Duration left = absl::FromChrono(until - SteadyClock::now());
    if (left <= absl::ZeroDuration()) break;
    changed_.WaitWithTimeout(&mutex_, left);
  }
  return end_;
}

// Looks from time to time: nothing depends on when exactly a peer is given up.
void StallGuard::Watch() {
  constexpr absl::Duration kLook = absl::Milliseconds(250);
  const absl::MutexLock lock(&mutex_);
  while (!StopsWithin(kLook)) {
    // Cancelling may end a call here, and with it its Wait, so the lock is let go of first; a
    // reference keeps the call.
    std::vector<std::pair<grpc_call*, std::string>> stalled;
    const auto later = due_.upper_bound(SteadyClock::now());
    for (auto it = due_.begin(); it != later; ++it) {
      Wait& wait = *it->second;
      wait.waits_ = false;
      grpc_call_ref(wait.rpc_.c_call());
      stalled.emplace_back(wait.rpc_.c_call(), wait.rpc_.peer());
    }
    due_.erase(due_.begin(), later);
    mutex_.Unlock();
    for (const auto& [call, peer] : stalled) {
      grpc_call_cancel_with_status(call, GRPC_STATUS_CANCELLED, "the peer has stalled", nullptr);
      grpc_call_unref(call);
      if (on_stall_) on_stall_(peer);
    }
    mutex_.Lock();
  }
}

}  // namespace attention::rpc
