#ifndef ATTENTION_CLIENT_LOAD_CANCELLER_H_
#define ATTENTION_CLIENT_LOAD_CANCELLER_H_

#include <grpcpp/client_context.h>

#include <map>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attention::client {

// Cancels calls at given times, on a thread of its own. Thread-safe.
class Canceller {
 public:
  Canceller();
  ~Canceller();  // what has not come to its time by then is not cancelled

  // `context` may be of a call that has ended by then.
  void CancelAt(absl::Time when, std::shared_ptr<grpc::ClientContext> context);

 private:
  void Work();
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return news_ || end_; }

  absl::Mutex mutex_;
  std::multimap<absl::Time, std::shared_ptr<grpc::ClientContext>> due_ ABSL_GUARDED_BY(mutex_);
  bool news_ ABSL_GUARDED_BY(mutex_) = false;  // something is due earlier than all before
  bool end_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_CANCELLER_H_
