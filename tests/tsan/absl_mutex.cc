// absl::Mutex and absl::CondVar as ThreadSanitizer must see them.
//
// Debian's library is not built with it, so that what one thread writes under a mutex looks
// unordered with what the next one reads there: a false report, and a suppression for each would
// hide the true ones beside it. These definitions are linked into every program of such a build and
// come before the library's, for our code and for gRPC's alike. Each tells ThreadSanitizer what it
// orders, around a call of the library's own.
//
// An absl::Condition is looked at by whoever unlocks, after that is told, and so reads what it
// waits for unordered: our code waits for an absl::CondVar instead. Members that lock and are
// missing here are called neither by our code nor by gRPC's; absl::Notification orders nothing
// where it was notified before it is waited for.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdlib>
#include <string_view>

#include "absl/base/config.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

// Names as the compiler mangles them: Abseil's inline namespace is a part.
#define TEXT(name) #name
#define TEXT_OF(macro) TEXT(macro)
static_assert(std::string_view(TEXT_OF(ABSL_OPTION_INLINE_NAMESPACE_NAME)).size() == 7,
              "another Abseil: write the length of its inline namespace below");
#define MEMBER(rest) "_ZN4absl7" TEXT_OF(ABSL_OPTION_INLINE_NAMESPACE_NAME) rest

namespace {

template <typename Function>
Function* Library(const char* name) {
  void* function = dlsym(RTLD_NEXT, name);
  if (function == nullptr) std::abort();
  return reinterpret_cast<Function*>(function);
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static auto* const library = Library<void(Mutex*)>(MEMBER("5Mutex4LockEv"));
  library(this);
  __tsan_acquire(this);
}

bool Mutex::TryLock() {
  static auto* const library = Library<bool(Mutex*)>(MEMBER("5Mutex7TryLockEv"));
  const bool locked = library(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Unlock() {
  static auto* const library = Library<void(Mutex*)>(MEMBER("5Mutex6UnlockEv"));
  __tsan_release(this);
  library(this);
}

void Mutex::ReaderLock() {
  static auto* const library = Library<void(Mutex*)>(MEMBER("5Mutex10ReaderLockEv"));
  library(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  static auto* const library = Library<void(Mutex*)>(MEMBER("5Mutex12ReaderUnlockEv"));
  __tsan_release(this);
  library(this);
}

// Waits are inline functions of Abseil's header, around these, since its releases of 2024.
#if ABSL_LTS_RELEASE_VERSION >= 20240722

bool Mutex::LockWhenCommon(const Condition& condition,
                           synchronization_internal::KernelTimeout timeout, bool write) {
  static auto* const library =
      Library<bool(Mutex*, const Condition&, synchronization_internal::KernelTimeout, bool)>(
          MEMBER("5Mutex14LockWhenCommonERKNS0_9ConditionE"
                 "NS0_24synchronization_internal13KernelTimeoutEb"));
  const bool holds = library(this, condition, timeout, write);
  __tsan_acquire(this);
  return holds;
}

bool Mutex::AwaitCommon(const Condition& condition,
                        synchronization_internal::KernelTimeout timeout) {
  static auto* const library =
      Library<bool(Mutex*, const Condition&, synchronization_internal::KernelTimeout)>(
          MEMBER("5Mutex11AwaitCommonERKNS0_9ConditionE"
                 "NS0_24synchronization_internal13KernelTimeoutE"));
  __tsan_release(this);
  const bool holds = library(this, condition, timeout);
  __tsan_acquire(this);
  return holds;
}

bool CondVar::WaitCommon(Mutex* mutex, synchronization_internal::KernelTimeout timeout) {
  static auto* const library =
      Library<bool(CondVar*, Mutex*, synchronization_internal::KernelTimeout)>(MEMBER(
          "7CondVar10WaitCommonEPNS0_5MutexENS0_24synchronization_internal13KernelTimeoutE"));
  __tsan_release(mutex);
  const bool timed_out = library(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

#else

void Mutex::LockWhen(const Condition& condition) {
  static auto* const library =
      Library<void(Mutex*, const Condition&)>(MEMBER("5Mutex8LockWhenERKNS0_9ConditionE"));
  library(this, condition);
  __tsan_acquire(this);
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  static auto* const library = Library<bool(Mutex*, const Condition&, Duration)>(
      MEMBER("5Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE"));
  const bool holds = library(this, condition, timeout);
  __tsan_acquire(this);
  return holds;
}

void Mutex::Await(const Condition& condition) {
  static auto* const library =
      Library<void(Mutex*, const Condition&)>(MEMBER("5Mutex5AwaitERKNS0_9ConditionE"));
  __tsan_release(this);
  library(this, condition);
  __tsan_acquire(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static auto* const library = Library<bool(Mutex*, const Condition&, Duration)>(
      MEMBER("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE"));
  __tsan_release(this);
  const bool holds = library(this, condition, timeout);
  __tsan_acquire(this);
  return holds;
}

void CondVar::Wait(Mutex* mutex) {
  static auto* const library =
      Library<void(CondVar*, Mutex*)>(MEMBER("7CondVar4WaitEPNS0_5MutexE"));
  __tsan_release(mutex);
  library(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const library = Library<bool(CondVar*, Mutex*, Duration)>(
      MEMBER("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE"));
  __tsan_release(mutex);
  const bool timed_out = library(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const library = Library<bool(CondVar*, Mutex*, Time)>(
      MEMBER("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE"));
  __tsan_release(mutex);
  const bool timed_out = library(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

#endif

ABSL_NAMESPACE_END
}  // namespace absl
