#ifndef ATTENTION_CLIENT_HEDGED_CALL_H_
#define ATTENTION_CLIENT_HEDGED_CALL_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "client/connections.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace attention::client {

// One attempt at a call: what it needs from its start until it has ended.
template <typename Response>
struct Attempt {
  // Over another connection than `avoid`, where that is not null and there is one.
  Attempt(Connections& connections, size_t request_bytes, const Connection* avoid,
          absl::Time deadline)
      : place(connections.Take(request_bytes, avoid)) {
    context.set_deadline(absl::ToChronoTime(deadline));
  }

  const Connections::Place place;
  grpc::ClientContext context;
  Response response;
  std::optional<grpc::Status> status;  // once it has ended
};

// Makes a call, and the same once more where that has not ended after `hedge_after` (at most a day)
// and `may_hedge` says so: a call that met a slow server is not held up by it (Dean and Barroso,
// The Tail at Scale, 2013). `make` makes an attempt, which avoids the connection of the one before,
// and `start` starts it; that has to give its status to `ended`, from any thread. `start` does not
// throw.
//
// Returns the first attempt that was answered, or, where none was, the one that began last; no
// other is under way any more.
template <typename Response>
std::unique_ptr<Attempt<Response>> HedgedCall(
    absl::Duration hedge_after, absl::FunctionRef<bool()> may_hedge,
    absl::FunctionRef<std::unique_ptr<Attempt<Response>>(const Connection* avoid)> make,
    absl::FunctionRef<void(Attempt<Response>&, std::function<void(grpc::Status)> ended)> start) {
  std::mutex mutex;  // guards each attempt's status
  std::condition_variable changed;
  std::vector<std::unique_ptr<Attempt<Response>>> attempts;
  const auto begin = [&] {
    const Connection* const before = attempts.empty() ? nullptr : &*attempts.back()->place;
    Attempt<Response>& attempt = *attempts.emplace_back(make(before));
    start(attempt, [&](grpc::Status status) {
      const std::lock_guard lock(mutex);
      attempt.status = std::move(status);
      changed.notify_all();  // with the lock: whoever waits owns what it stands on
    });
  };
  const auto ended = [](const auto& attempt) { return attempt->status.has_value(); };
  const auto answered = [&](const auto& attempt) {
    return ended(attempt) && attempt->status->ok();
  };
  const auto all_ended = [&] { return std::all_of(attempts.begin(), attempts.end(), ended); };

  begin();
  std::unique_lock lock(mutex);
  if (!changed.wait_for(lock, absl::ToChronoNanoseconds(hedge_after), all_ended) && may_hedge()) {
    lock.unlock();
    begin();
    lock.lock();
  }
  std::unique_ptr<Attempt<Response>>* chosen = nullptr;
  changed.wait(lock, [&] {
    const auto first = std::find_if(attempts.begin(), attempts.end(), answered);
    if (first != attempts.end()) chosen = &*first;
    return chosen != nullptr || all_ended();
  });
  if (chosen == nullptr) chosen = &attempts.back();
  for (auto& attempt : attempts) {
    if (!ended(attempt)) attempt->context.TryCancel();
  }
  changed.wait(lock, all_ended);
  return std::move(*chosen);
}

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_HEDGED_CALL_H_
