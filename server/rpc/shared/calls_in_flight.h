#ifndef ATTENTION_SERVER_RPC_SHARED_CALLS_IN_FLIGHT_H_
#define ATTENTION_SERVER_RPC_SHARED_CALLS_IN_FLIGHT_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attention::rpc {

// Counts the calls in flight, so that a server can stop taking new ones and wait for the rest.
// Thread-safe. The lock guards the counts; no other lock is taken under it.
class CallsInFlight {
 public:
  // False once draining: the call is to be refused, and Leave not called for it.
  bool Enter();
  void Leave();

  // A number that changes with each of them.
  int64_t activity() const;

  // From now on Enter returns false. Waits until no call is in flight, at most `limit`; returns
  // whether none is.
  bool Drain(absl::Duration limit);

 private:
  mutable absl::Mutex mutex_;
  absl::CondVar none_;  // none is in flight any more
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t activity_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

// What a call is told for which Enter returned false.
absl::Status ShuttingDown();

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_CALLS_IN_FLIGHT_H_
