#ifndef ATTENTION_SERVER_OPS_FREED_MEMORY_H_
#define ATTENTION_SERVER_OPS_FREED_MEMORY_H_

#include <cstdint>
#include <functional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace attention::ops {

// From now on what this process frees stays with it for what it allocates next, large blocks up to
// 32 MiB included. Otherwise the C library gives them back to the kernel, which zeroes them page by
// page for the next call: more than half of what a large message costs. All threads share two
// arenas for each of `cpus`: with one for each thread, as the C library would have it, what one has
// free is of no use to the others, and resident memory creeps up for hours. (GNU's malloc only.) To
// be called before other threads start.
void KeepFreedMemory(int cpus);

// Gives freed memory back to the kernel when nobody needs it: once after a while without activity,
// and whenever the process has more than it should. On a thread of its own, which looks twice a
// second.
class FreedMemoryTrimmer {
 public:
  struct Options {
    absl::Duration idle = absl::Seconds(10);
    // Resident bytes above which it trims, at most once a second, whatever goes on.
    int64_t most_resident_bytes = INT64_MAX;
    // A number that changes when something happens.
    std::function<int64_t()> activity;
    // Frees what is kept beside malloc for the next call; called before it trims.
    std::function<void()> let_go;
  };

  explicit FreedMemoryTrimmer(Options options);
  ~FreedMemoryTrimmer();

 private:
  void Watch();
  void Trim() const;

  const Options options_;
  absl::Notification end_;
  std::thread thread_;
};

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_FREED_MEMORY_H_
