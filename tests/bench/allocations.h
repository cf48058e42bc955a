#ifndef ATTENTION_TESTS_BENCH_ALLOCATIONS_H_
#define ATTENTION_TESTS_BENCH_ALLOCATIONS_H_

#include <cstdint>

namespace attention {

// What the program has of operator new (tests/operator_new.h). Thread-safe.

// Bytes that are allocated now, in the whole process.
int64_t AllocatedBytes();
// The most that were allocated at a time since the last call of ForgetPeakBytes.
int64_t PeakBytes();
void ForgetPeakBytes();

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_ALLOCATIONS_H_
