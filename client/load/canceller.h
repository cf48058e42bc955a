#ifndef ATTENTION_CLIENT_LOAD_CANCELLER_H_
#define ATTENTION_CLIENT_LOAD_CANCELLER_H_

#include <grpcpp/client_context.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace attention::client {

// Cancels calls after given times, on a thread of its own. Thread-safe.
class Canceller {
 public:
  Canceller();
  ~Canceller();  // what has not come to its time by then is not cancelled

  // `context` may be of a call that has ended by then.
  void CancelAfter(absl::Duration delay, std::shared_ptr<grpc::ClientContext> context);

 private:
  void Work();

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::multimap<std::chrono::steady_clock::time_point, std::shared_ptr<grpc::ClientContext>> due_;
  bool news_ = false;  // something is due earlier than all before
  bool end_ = false;
  std::thread thread_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_CANCELLER_H_
