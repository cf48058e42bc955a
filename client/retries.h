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

// When a call that failed is made again. gRPC's own retries (gRFC A6) give up where a request is
// larger than 256 KiB, since they keep its bytes; a call of attention may be made again as it is.
struct RetryOptions {
  int attempts = 4;  // of one call in all; 1: no retries
  // The n-th wait is drawn from 0 to first_wait * 2^(n - 1), at most most_wait; the server's own
  // word counts more.
  absl::Duration first_wait = absl::Milliseconds(100);
  absl::Duration most_wait = absl::Seconds(5);
  // Retries must not make an overload worse: each failure of those takes 1 from the budget, each
  // success adds `refill` to it, up to `budget`, and there are no retries below half of that.
  double budget = 20;
  double refill = 0.1;
};

// Decides for all calls of one client. Thread-safe. The lock guards the budget and the source of
// random waits; no other lock is taken under it.
class Retries {
 public:
  explicit Retries(const RetryOptions& options) : options_(options), budget_(options.budget) {}

  void CountSuccess();

  // How long to wait before a call that has failed `failures` times is made again, at once after
  // the last; empty: never. Only where that may help: UNAVAILABLE, which does not say
  // how far the call came, and RESOURCE_EXHAUSTED where it says when to come again, by `pushback`
  // (the trailer grpc-retry-pushback-ms; below 0: not at all) or a google.rpc.RetryInfo. Counts the
  // failure.
  std::optional<absl::Duration> NextWait(const absl::Status& status,
                                         std::optional<int64_t> pushback_ms, int failures);

  // Whether a call that takes long may be made once more: takes 1 from the budget, where that
  // leaves more than half.
  bool TakeHedge();

 private:
  const RetryOptions options_;
  absl::Mutex mutex_;
  double budget_ ABSL_GUARDED_BY(mutex_);
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_){std::random_device{}()};
};

// The trailer of a call that has ended; empty: there is none. One that is no number is -1.
std::optional<int64_t> PushbackOf(const grpc::ClientContext& context);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_RETRIES_H_
