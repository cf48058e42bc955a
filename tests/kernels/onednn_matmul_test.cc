#include "kernels/onednn_matmul.h"

#include <gtest/gtest.h>

#include <thread>

#include "kernels/aligned_buffer.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

// C = A B in double precision.
std::vector<double> Product(const std::vector<float>& a, const std::vector<float>& b, int64_t m,
                            int64_t k, int64_t n) {
  std::vector<double> c(m * n, 0);
  for (int64_t i = 0; i < m * k; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      c[i / k * n + j] += static_cast<double>(a[i]) * b[i % k * n + j];
    }
  }
  return c;
}

TEST(OnednnMatmul, PackedPlainAndTransposedOperandsGiveTheProduct) {
  const int64_t m = 4, k = 5, n = 70;
  const std::vector<float> a = RandomFloats(m * k, 1), b = RandomFloats(k * n, 2);
  std::vector<float> transposed(k * n);
  for (int64_t i = 0; i < k * n; ++i) transposed[i % n * k + i / n] = b[i];
  const std::vector<double> want = Product(a, b, m, k, n);

  const auto plain = OnednnMatmul::Create({.m = m, .k = k, .n = n});
  const auto packed = OnednnMatmul::Create({.m = m, .k = k, .n = n, .packed_b = true});
  ASSERT_TRUE(plain.ok() && packed.ok());
  AlignedBuffer scratch(std::max(plain->scratch_size(), packed->scratch_size()) + 1);
  AlignedBuffer b_packed(packed->packed_b_size());
  std::vector<float> c(m * n, kNan);
  plain->Run(a.data(), b.data(), c.data(), scratch.data());
  EXPECT_TRUE(Near(c, want, 1e-5));
  packed->PackB(b.data(), b_packed.data(), scratch.data());
  packed->Run(a.data(), b_packed.data(), c.data(), scratch.data());
  EXPECT_TRUE(Near(c, want, 1e-5));
  packed->PackTransposedB(transposed.data(), b_packed.data(), scratch.data());
  packed->Run(a.data(), b_packed.data(), c.data(), scratch.data());
  EXPECT_TRUE(Near(c, want, 1e-5));
}

TEST(OnednnMatmul, AccumulatesOnTopOfWhatIsThere) {
  const auto op = OnednnMatmul::Create({.m = 1, .k = 1, .n = 2, .accumulate = true});
  ASSERT_TRUE(op.ok());
  AlignedBuffer scratch(op->scratch_size() + 1);
  const float a[] = {3}, b[] = {1, 2};
  float c[] = {10, 20};
  op->Run(a, b, c, scratch.data());
  EXPECT_EQ(c[0], 13);
  EXPECT_EQ(c[1], 26);
}

TEST(OnednnMatmul, OnePrimitiveRunsOnManyThreadsAtOnce) {
  const int64_t m = 16, k = 33, n = 65;
  const auto op = OnednnMatmul::Create({.m = m, .k = k, .n = n});
  ASSERT_TRUE(op.ok());
  const std::vector<float> a = RandomFloats(m * k, 1), b = RandomFloats(k * n, 2);
  const std::vector<double> want = Product(a, b, m, k, n);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      AlignedBuffer scratch(op->scratch_size() + 1);
      for (int i = 0; i < 50; ++i) {
        std::vector<float> c(m * n, kNan);
        op->Run(a.data(), b.data(), c.data(), scratch.data());
        EXPECT_TRUE(Near(c, want, 1e-4));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace attention
