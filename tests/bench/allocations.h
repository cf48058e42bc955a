#ifndef ATTENTION_TESTS_BENCH_ALLOCATIONS_H_
#define ATTENTION_TESTS_BENCH_ALLOCATIONS_H_

#include <cstdint>

namespace attention {

// allocations.cc replaces operator new, also for types with an alignment of their own, in the
// program that it is linked into. What comes from malloc by another way is not seen. Thread-safe.

// Bytes that are allocated now, in the whole process.
int64_t AllocatedBytes();
// The most that were allocated at a time since the last call of ForgetPeakBytes.
int64_t PeakBytes();
void ForgetPeakBytes();

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_ALLOCATIONS_H_
