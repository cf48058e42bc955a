#ifndef ATTENTION_CLIENT_LOAD_SERVER_USAGE_H_
#define ATTENTION_CLIENT_LOAD_SERVER_USAGE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace attention::client {

// CPU time that a process of this machine has taken, of all its threads; empty: there is none.
std::optional<absl::Duration> CpuOf(pid_t pid);
// Memory that it has; 0: there is none.
int64_t ResidentBytesOf(pid_t pid);

// Watches a process from construction on until Stop. For one thread.
class ServerUsage {
 public:
  explicit ServerUsage(pid_t pid);  // 0: watches nothing
  ~ServerUsage();                   // Stop

  void Stop();
  // What it has taken by then, and the most memory that was seen, looking every 50 ms.
  absl::Duration cpu() const { return cpu_; }
  int64_t most_resident_bytes() const { return most_bytes_; }

 private:
  void Watch();

  const pid_t pid_;
  const std::optional<absl::Duration> cpu_before_;
  absl::Duration cpu_;
  int64_t most_bytes_ = 0;  // the thread's, until it is joined
  absl::Notification end_;
  std::thread thread_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_SERVER_USAGE_H_
