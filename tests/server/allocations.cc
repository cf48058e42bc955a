#include "tests/server/allocations.h"

#include <chrono>
#include <cstdlib>
#include <new>
#include <thread>

namespace attention {
namespace {

std::atomic<size_t> largest = 0;
std::atomic<AllocationWatch*> watches[2];

void* Allocate(size_t bytes) {
  size_t before = largest;
  while (before < bytes && !largest.compare_exchange_weak(before, bytes)) {
  }
  for (const auto& watch : watches) {
    if (AllocationWatch* const watching = watch) watching->See(bytes);
  }
  void* const memory = std::malloc(bytes > 0 ? bytes : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

size_t LargestAllocation() { return largest; }
void ForgetAllocations() { largest = 0; }

AllocationWatch::AllocationWatch(size_t bytes, Then then) : bytes_(bytes), then_(then) {
  for (auto& watch : watches) {
    AllocationWatch* none = nullptr;
    if (watch.compare_exchange_strong(none, this)) return;
  }
  std::abort();
}

AllocationWatch::~AllocationWatch() {
  for (auto& watch : watches) {
    AllocationWatch* self = this;
    watch.compare_exchange_strong(self, nullptr);
  }
}

void AllocationWatch::See(size_t bytes) {
  if (bytes < bytes_ || bytes > bytes_ + 32) return;
  ++count_;
  if (then_ == Then::kFail) throw std::bad_alloc();
  while (then_ == Then::kHold && !released_) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace attention

void* operator new(size_t bytes) { return attention::Allocate(bytes); }
void* operator new[](size_t bytes) { return attention::Allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
