#ifndef ATTENTION_CLIENT_RETRIES_H_
#define ATTENTION_CLIENT_RETRIES_H_

#include <cstdint>
#include <optional>
#include <random>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"

namespace attention::client {

// When a call that failed is made again. gRPC's own retries (gRFC A6) keep a copy of each request,
// and give up if it is larger than 256 KiB. We need no copy, because the caller's request is still
// there.
struct RetryOptions {
  int attempts = 4;  // of one call, the first included; 1: no retries
  // The n-th wait is random, from 0 to first_wait * 2^(n - 1), at most most_wait. A wait that the
  // server asks for takes precedence.
  absl::Duration first_wait = absl::Milliseconds(100);
  absl::Duration most_wait = absl::Seconds(5);
  // Retries must not make an overload worse. Each failure that may be retried takes 1 from the
  // budget, each success adds `refill` to it, up to `budget`, and there are no retries while it is
  // below half of that.
  double budget = 20;
  double refill = 0.1;
};

// Decides for all calls of one client. Thread-safe. The lock guards the budget and the source of
// random waits; no other lock is taken under it.
class Retries {
 public:
  explicit Retries(const RetryOptions& options) : options_(options), budget_(options.budget) {}

  void CountSuccess();

  // Returns how long to wait before a call is made again that has failed `failures` times in a row;
  // empty if it must not be made again. Calls are made again only where that may help: after
  // UNAVAILABLE, and after RESOURCE_EXHAUSTED if the server says when to come again, by
  // `pushback_ms` (the trailer grpc-retry-pushback-ms; below 0 it forbids a retry) or a
  // google.rpc.RetryInfo. Counts the failure.
  std::optional<absl::Duration> NextWait(const absl::Status& status,
                                         std::optional<int64_t> pushback_ms, int failures);

  // Returns whether a call that takes long may be made once more. If so, takes 1 from the budget;
  // more than half of it must be left.
  bool TakeHedge();

 private:
  const RetryOptions options_;
  absl::Mutex mutex_;
  double budget_ ABSL_GUARDED_BY(mutex_);
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_){std::random_device{}()};
};

// Returns the trailer grpc-retry-pushback-ms of a call that has ended; empty if there is none, -1
// if it is not a number.
std::optional<int64_t> PushbackOf(const grpc::ClientContext& context);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_RETRIES_H_
