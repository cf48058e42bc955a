#ifndef ATTENTION_CLIENT_HEDGED_CALL_H_
#define ATTENTION_CLIENT_HEDGED_CALL_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/connections.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace attention::client {

// One attempt at a call, with all that must live until it has ended.
template <typename Response>
struct Attempt {
  // Takes another connection than `avoid`, if that is not null and there is another.
  Attempt(Connections& connections, size_t request_bytes, const Connection* avoid,
          absl::Time deadline)
      : place(connections.Take(request_bytes, avoid)) {
    context.set_deadline(absl::ToChronoTime(deadline));
  }

  const Connections::Place place;
  grpc::ClientContext context;
  Response response;
  std::optional<grpc::Status> status;  // how it ended, of an attempt that is returned
};

// How the attempts at one call ended; each has a number, the first is 0. Thread-safe. The lock
// guards nothing else, and no other lock is taken under it.
class AttemptEnds {
 public:
  // Another attempt is under way; returns its number.
  size_t Begin() {
    const absl::MutexLock lock(&mutex_);
    ends_.emplace_back();
    return ends_.size() - 1;
  }

  void End(size_t attempt, grpc::Status status) {
    const absl::MutexLock lock(&mutex_);
    ends_[attempt] = std::move(status);
    changed_.SignalAll();  // with the lock: whoever waits owns this, and may destroy it at once
  }

  // How it ended; empty while it is under way.
  std::optional<grpc::Status> Of(size_t attempt) const {
    const absl::MutexLock lock(&mutex_);
    return ends_[attempt];
  }

  // Waits until every attempt has ended.
  void WaitForAll() {
    const absl::MutexLock lock(&mutex_);
    while (!AllHaveEnded()) changed_.Wait(&mutex_);
  }

  // The same, for no longer than `most`; returns whether they have.
  bool WaitForAll(absl::Duration most) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point until = Clock::now() + absl::ToChronoNanoseconds(most);
    const absl::MutexLock lock(&mutex_);
    while (!AllHaveEnded()) {
      const absl::Duration left = absl::FromChrono(until - Clock::now());
      if (left <= absl::ZeroDuration()) return false;
      changed_.WaitWithTimeout(&mutex_, left);
    }
    return true;
  }

  // Waits until an attempt was answered, or all have ended. Returns the first that was answered,
  // or, where none was, the one that began last.
  size_t WaitForAnswer() {
    const absl::MutexLock lock(&mutex_);
    for (;;) {
      const auto answered = std::find_if(
          ends_.begin(), ends_.end(), [](const auto& end) { return end.has_value() && end->ok(); });
      if (answered != ends_.end()) return static_cast<size_t>(answered - ends_.begin());
      if (AllHaveEnded()) return ends_.size() - 1;
      changed_.Wait(&mutex_);
    }
  }

 private:
  bool AllHaveEnded() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::all_of(ends_.begin(), ends_.end(), [](const auto& end) { return end.has_value(); });
  }

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;  // an attempt has ended
  std::vector<std::optional<grpc::Status>> ends_ ABSL_GUARDED_BY(mutex_);
};

// Makes a call, and the same once more where that has not ended after `hedge_after` (at most a day)
// and `may_hedge` says so: a call that met a slow server is not held up by it (Dean and Barroso,
// The Tail at Scale, 2013). `make` makes an attempt, which avoids the connection of the one before,
// and `start` starts it; that has to give its status to `ended`, from any thread. `start` does not
// throw.
//
// Returns the first attempt that was answered, or the last attempt if none was. All attempts have
// ended when it returns.
template <typename Response>
std::unique_ptr<Attempt<Response>> HedgedCall(
    absl::Duration hedge_after, absl::FunctionRef<bool()> may_hedge,
    absl::FunctionRef<std::unique_ptr<Attempt<Response>>(const Connection* avoid)> make,
    absl::FunctionRef<void(Attempt<Response>&, std::function<void(grpc::Status)> ended)> start) {
  AttemptEnds ends;
  std::vector<std::unique_ptr<Attempt<Response>>> attempts;
  const auto begin = [&] {
    const Connection* const before = attempts.empty() ? nullptr : &*attempts.back()->place;
    Attempt<Response>& attempt = *attempts.emplace_back(make(before));
    start(attempt, [&ends, number = ends.Begin()](grpc::Status status) {
      ends.End(number, std::move(status));
    });
  };

  begin();
  if (!ends.WaitForAll(hedge_after) && may_hedge()) begin();
  const size_t chosen = ends.WaitForAnswer();
  for (size_t i = 0; i < attempts.size(); ++i) {
    if (!ends.Of(i).has_value()) attempts[i]->context.TryCancel();
  }
  ends.WaitForAll();
  attempts[chosen]->status = ends.Of(chosen);
  return std::move(attempts[chosen]);
}

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_HEDGED_CALL_H_
