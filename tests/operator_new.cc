#include "tests/operator_new.h"

#include <cstdlib>
#include <new>

namespace attention {
namespace {

void* Allocate(size_t bytes, size_t alignment, const void* caller) {
  WhenAsked(bytes, alignment, caller);
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    memory = std::malloc(bytes > 0 ? bytes : 1);
  } else if (posix_memalign(&memory, alignment, bytes) != 0) {
    memory = nullptr;
  }
  if (memory == nullptr) throw std::bad_alloc();
  WhenAllocated(memory);
  return memory;
}

void* AllocateOrNull(size_t bytes, size_t alignment, const void* caller) noexcept {
  try {
    return Allocate(bytes, alignment, caller);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void Free(void* memory) noexcept {
  if (memory == nullptr) return;
  WhenFreed(memory);
  std::free(memory);
}

constexpr size_t Bytes(std::align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace
}  // namespace attention

using attention::Allocate, attention::AllocateOrNull, attention::Bytes, attention::Free;
using Alignment = std::align_val_t;
using Nothrow = std::nothrow_t;

void* operator new(size_t n) { return Allocate(n, 1, __builtin_return_address(0)); }
void* operator new[](size_t n) { return Allocate(n, 1, __builtin_return_address(0)); }
void* operator new(size_t n, const Nothrow&) noexcept {
  return AllocateOrNull(n, 1, __builtin_return_address(0));
}
void* operator new[](size_t n, const Nothrow&) noexcept {
  return AllocateOrNull(n, 1, __builtin_return_address(0));
}
void* operator new(size_t n, Alignment a) {
  return Allocate(n, Bytes(a), __builtin_return_address(0));
}
void* operator new[](size_t n, Alignment a) {
  return Allocate(n, Bytes(a), __builtin_return_address(0));
}
void* operator new(size_t n, Alignment a, const Nothrow&) noexcept {
  return AllocateOrNull(n, Bytes(a), __builtin_return_address(0));
}
void* operator new[](size_t n, Alignment a, const Nothrow&) noexcept {
  return AllocateOrNull(n, Bytes(a), __builtin_return_address(0));
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
