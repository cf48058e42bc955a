#ifndef ATTENTION_TESTS_SERVER_ALLOCATIONS_H_
#define ATTENTION_TESTS_SERVER_ALLOCATIONS_H_

#include <cstddef>

namespace attention {

// What is asked of operator new in the whole process (tests/operator_new.h), but for memory with an
// alignment of its own.

// The largest block asked for since the last call of ForgetAllocations, in bytes.
size_t LargestAllocation();
void ForgetAllocations();

// Watches for blocks of `bytes` to `bytes` + 32: a std::string takes a little more than it holds.
// Two at a time.
class AllocationWatch {
 public:
  enum class Then { kGrant, kFail, kHold };  // kHold: grants it once Release was called

  AllocationWatch(size_t bytes, Then then);
  ~AllocationWatch();
  AllocationWatch(const AllocationWatch&) = delete;
  AllocationWatch& operator=(const AllocationWatch&) = delete;

  // How many were asked for.
  int count() const;
  void Release();

  struct State;

 private:
  State& state_;
};

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_ALLOCATIONS_H_
