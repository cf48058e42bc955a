#include "client/load/server_usage.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace attention::client {

std::optional<absl::Duration> CpuOf(pid_t pid) {
  clockid_t clock = 0;
  timespec time = {};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    return std::nullopt;
  }
  return absl::DurationFromTimespec(time);
}

int64_t ResidentBytesOf(pid_t pid) {
  int64_t pages = 0, resident_pages = 0;
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  return statm >> pages >> resident_pages ? resident_pages * sysconf(_SC_PAGESIZE) : 0;
}

ServerUsage::ServerUsage(pid_t pid) : pid_(pid), cpu_before_(pid > 0 ? CpuOf(pid) : std::nullopt) {
  if (pid_ > 0) thread_ = std::thread([this] { Watch(); });
}

ServerUsage::~ServerUsage() { Stop(); }

void ServerUsage::Stop() {
  if (!thread_.joinable()) return;
  if (const auto now = CpuOf(pid_); now && cpu_before_) cpu_ = *now - *cpu_before_;
  end_.Notify();
  thread_.join();
}

void ServerUsage::Watch() {
  do {
    most_bytes_ = std::max(most_bytes_, ResidentBytesOf(pid_));
  } while (!end_.WaitForNotificationWithTimeout(absl::Milliseconds(50)));
}

}  // namespace attention::client
