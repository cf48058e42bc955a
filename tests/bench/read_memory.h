#ifndef ATTENTION_TESTS_BENCH_READ_MEMORY_H_
#define ATTENTION_TESTS_BENCH_READ_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace attention {

// Reads memory as fast as one thread can. Wide registers matter in the third-level cache: 40 GB/s
// instead of 28 on Zen 4; beyond, both read 24 GB/s.
//
// Returns a sum of what is there, for the compiler's sake.
uint64_t ReadMemory(const std::byte* data, int64_t bytes);

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_READ_MEMORY_H_
