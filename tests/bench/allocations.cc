#include "tests/bench/allocations.h"

#include <malloc.h>

#include <atomic>

#include "tests/operator_new.h"

namespace attention {
namespace {

std::atomic<int64_t> allocated = 0;
std::atomic<int64_t> peak = 0;

// As large as malloc made it.
int64_t SizeOf(void* memory) { return static_cast<int64_t>(malloc_usable_size(memory)); }

}  // namespace

void WhenAsked(size_t, size_t, const void*) {}

void WhenAllocated(void* memory) {
  const int64_t now = allocated += SizeOf(memory);
  int64_t before = peak;
  while (before < now && !peak.compare_exchange_weak(before, now)) {
  }
}

void WhenFreed(void* memory) { allocated -= SizeOf(memory); }

int64_t AllocatedBytes() { return allocated; }
int64_t PeakBytes() { return peak; }
void ForgetPeakBytes() { peak = allocated.load(); }

}  // namespace attention
