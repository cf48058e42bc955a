#include "server/ops/freed_memory.h"

#include <malloc.h>

#include <utility>

#include "absl/time/clock.h"
#include "server/ops/process_usage.h"

namespace attention::ops {

void KeepFreedMemory(int cpus) {
  // The most that malloc takes; larger blocks are mapped one by one.
  constexpr int kLargest = 32 << 20;
  mallopt(M_MMAP_THRESHOLD, kLargest);
  mallopt(M_TRIM_THRESHOLD, INT32_MAX);
  mallopt(M_TOP_PAD, 16 << 20);
  mallopt(M_ARENA_MAX, 2 * cpus);
}

FreedMemoryTrimmer::FreedMemoryTrimmer(Options options)
    : options_(std::move(options)), thread_([this] { Watch(); }) {}

FreedMemoryTrimmer::~FreedMemoryTrimmer() {
  end_.Notify();
  thread_.join();
}

void FreedMemoryTrimmer::Trim() const {
  if (options_.let_go) options_.let_go();
  malloc_trim(0);
}

void FreedMemoryTrimmer::Watch() {
  constexpr absl::Duration kLook = absl::Milliseconds(500), kBetweenTrims = absl::Seconds(1);
  int64_t before = options_.activity();
  absl::Time active = absl::Now(), trimmed = absl::InfinitePast();
  while (!end_.WaitForNotificationWithTimeout(kLook)) {
    const absl::Time now = absl::Now();
    if (const int64_t activity = options_.activity(); activity != before) {
      before = activity;
      active = now;
    }
    const bool is_idle = now - active >= options_.idle && trimmed < active + options_.idle;
    const bool is_too_much =
        now - trimmed >= kBetweenTrims && ResidentBytes() > options_.most_resident_bytes;
    if (!is_idle && !is_too_much) continue;
    Trim();
    trimmed = now;
  }
}

}  // namespace attention::ops
