#include "tests/server/allocations.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <thread>

#include "tests/operator_new.h"

namespace attention {

// Static, since other threads may be looking at one while its watch goes away.
struct AllocationWatch::State {
  std::atomic<bool> taken = false;
  std::atomic<size_t> bytes = 0;  // 0: watches nothing
  std::atomic<Then> then = Then::kGrant;
  std::atomic<int> count = 0;
  std::atomic<bool> released = false;

  void See(size_t asked) {
    if (bytes == 0 || asked < bytes || asked > bytes + 32) return;
    ++count;
    if (then == Then::kFail) throw std::bad_alloc();
    while (then == Then::kHold && !released) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
};

namespace {

std::atomic<size_t> largest_allocation = 0;
AllocationWatch::State states[2];

AllocationWatch::State& FreeState() {
  for (auto& state : states) {
    if (!state.taken.exchange(true)) return state;
  }
  std::abort();
}

}  // namespace

void WhenAsked(size_t bytes, size_t alignment, const void* /*caller*/) {
  if (alignment > 1) return;
  size_t before = largest_allocation;
  while (before < bytes && !largest_allocation.compare_exchange_weak(before, bytes)) {
  }
  for (auto& state : states) state.See(bytes);
}
void WhenAllocated(void*) {}
void WhenFreed(void*) {}

size_t LargestAllocation() { return largest_allocation; }
void ForgetAllocations() { largest_allocation = 0; }

AllocationWatch::AllocationWatch(size_t bytes, Then then) : state_(FreeState()) {
  state_.then = then;
  state_.count = 0;
  state_.released = false;
  state_.bytes = bytes;
}

AllocationWatch::~AllocationWatch() {
  state_.bytes = 0;
  state_.taken = false;
}

int AllocationWatch::count() const { return state_.count; }
void AllocationWatch::Release() { state_.released = true; }

}  // namespace attention
