#include "tests/bench/read_memory.h"

#include <cstring>
#include <numeric>

namespace attention {
namespace {

// The sum of all numbers, in as many sums as fit into registers, so that none waits for its last
// addition.
template <int64_t kSums>
[[gnu::always_inline]] inline uint64_t Sum(const std::byte* data, int64_t bytes) {
  uint64_t sums[kSums] = {};
  for (int64_t at = 0; at + kSums * 8 <= bytes; at += kSums * 8) {
    uint64_t words[kSums];
    std::memcpy(words, data + at, sizeof(words));
    for (int64_t i = 0; i < kSums; ++i) sums[i] += words[i];
  }
  return std::accumulate(sums, sums + kSums, uint64_t{0});
}

[[gnu::target("avx512f,avx512vl")]] uint64_t SumAvx512(const std::byte* data, int64_t bytes) {
  return Sum<64>(data, bytes);
}

}  // namespace

uint64_t ReadMemory(const std::byte* data, int64_t bytes) {
  static const bool avx512 =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return avx512 ? SumAvx512(data, bytes) : Sum<16>(data, bytes);
}

}  // namespace attention
