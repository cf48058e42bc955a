#ifndef ATTENTION_CLIENT_LOAD_SERVER_USAGE_H_
#define ATTENTION_CLIENT_LOAD_SERVER_USAGE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace attention::client {

// Returns the CPU time that all threads of a process of this machine have used; empty if there is
// no such process.
std::optional<absl::Duration> CpuOf(pid_t pid);
// Returns the resident memory of the process; 0 if there is no such process.
int64_t ResidentBytesOf(pid_t pid);

// Watches a process from construction until Stop. For one thread.
class ServerUsage {
 public:
  explicit ServerUsage(pid_t pid);  // 0: watches nothing
  ~ServerUsage();                   // calls Stop

  void Stop();
  // After Stop: the CPU time used while watching, and the largest memory that was seen at intervals
  // of 50 ms.
  absl::Duration cpu() const { return cpu_; }
  int64_t most_resident_bytes() const { return most_bytes_; }

 private:
  void Watch();

  const pid_t pid_;
  const std::optional<absl::Duration> cpu_before_;
  absl::Duration cpu_;
  int64_t most_bytes_ = 0;  // used by the thread until it is joined
  absl::Notification end_;
  std::thread thread_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_SERVER_USAGE_H_
