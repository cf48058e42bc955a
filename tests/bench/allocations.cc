#include "tests/bench/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace attention {
namespace {

std::atomic<int64_t> allocated = 0;
std::atomic<int64_t> peak = 0;

// As large as malloc made it, which Free will find again.
int64_t SizeOf(void* memory) { return static_cast<int64_t>(malloc_usable_size(memory)); }

void* Allocate(size_t bytes, size_t alignment) noexcept {
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    memory = std::malloc(bytes > 0 ? bytes : 1);
  } else if (posix_memalign(&memory, alignment, bytes) != 0) {
    return nullptr;
  }
  if (memory == nullptr) return nullptr;
  const int64_t now = allocated += SizeOf(memory);
  int64_t before = peak;
  while (before < now && !peak.compare_exchange_weak(before, now)) {
  }
  return memory;
}

void* AllocateOrThrow(size_t bytes, size_t alignment) {
  void* const memory = Allocate(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void Free(void* memory) noexcept {
  if (memory == nullptr) return;
  allocated -= SizeOf(memory);
  std::free(memory);
}

constexpr size_t Bytes(std::align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace

int64_t AllocatedBytes() { return allocated; }
int64_t PeakBytes() { return peak; }
void ForgetPeakBytes() { peak = allocated.load(); }

}  // namespace attention

// AddressSanitizer wants all that belong together to be replaced together.
using attention::Allocate, attention::AllocateOrThrow, attention::Bytes, attention::Free;
using Alignment = std::align_val_t;
using Nothrow = std::nothrow_t;

void* operator new(size_t n) { return AllocateOrThrow(n, 1); }
void* operator new[](size_t n) { return AllocateOrThrow(n, 1); }
void* operator new(size_t n, const Nothrow&) noexcept { return Allocate(n, 1); }
void* operator new[](size_t n, const Nothrow&) noexcept { return Allocate(n, 1); }
void* operator new(size_t n, Alignment a) { return AllocateOrThrow(n, Bytes(a)); }
void* operator new[](size_t n, Alignment a) { return AllocateOrThrow(n, Bytes(a)); }
void* operator new(size_t n, Alignment a, const Nothrow&) noexcept { return Allocate(n, Bytes(a)); }
void* operator new[](size_t n, Alignment a, const Nothrow&) noexcept {
  return Allocate(n, Bytes(a));
}

void operator delete(void* memory) noexcept { Free(memory); }
void operator delete[](void* memory) noexcept { Free(memory); }
void operator delete(void* memory, size_t) noexcept { Free(memory); }
void operator delete[](void* memory, size_t) noexcept { Free(memory); }
void operator delete(void* memory, const Nothrow&) noexcept { Free(memory); }
void operator delete[](void* memory, const Nothrow&) noexcept { Free(memory); }
void operator delete(void* memory, Alignment) noexcept { Free(memory); }
void operator delete[](void* memory, Alignment) noexcept { Free(memory); }
void operator delete(void* memory, size_t, Alignment) noexcept { Free(memory); }
void operator delete[](void* memory, size_t, Alignment) noexcept { Free(memory); }
void operator delete(void* memory, Alignment, const Nothrow&) noexcept { Free(memory); }
void operator delete[](void* memory, Alignment, const Nothrow&) noexcept { Free(memory); }
