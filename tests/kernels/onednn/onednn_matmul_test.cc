#include "kernels/onednn/onednn_matmul.h"

#include <gtest/gtest.h>

#include <thread>

#include "kernels/memory/aligned_buffer.h"
#include "kernels/memory/panel_layout.h"
#include "kernels/onednn/onednn_info.h"
#include "kernels/simd/convert.h"
#include "kernels/simd/packed_panels.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

// C = A B in double precision.
std::vector<double> ReferenceProduct(const std::vector<float>& a, const std::vector<float>& b,
                                     int64_t m, int64_t k, int64_t n) {
  std::vector<double> c(m * n, 0);
  for (int64_t i = 0; i < m * k; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      c[i / k * n + j] += static_cast<double>(a[i]) * b[i % k * n + j];
    }
  }
  return c;
}

// b [k, n] packed for products of type `operand`.
AlignedBuffer Packed(const std::vector<float>& b, int64_t k, int64_t n, DataType operand) {
  AlignedBuffer packed(PackedBytes(k, n, operand) / 4);
  PackRows({b.data(), DataType::kFloat32, n, k, n}, {.operand = operand}, RowPairs::kNeighbours, 0,
           PaddedDepth(k, operand), PackedPanelBytes(k, operand), packed.data());
  return packed;
}

bool HasAvx512() { return OnednnIsa().starts_with("avx512"); }

class Sizes : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(Sizes, MultiplyPackedOperands) {
  const auto [m, k, n] = GetParam();
  const std::vector<float> a = RandomFloats(m * k, 1), b = RandomFloats(k * n, 2);
  const std::vector<double> want = ReferenceProduct(a, b, m, k, n);
  const auto op = OnednnMatmul::Create({.m = m, .k = k, .n = n});
  ASSERT_TRUE(op.ok()) << op.status();
  // On AVX-512 a product that is not one call costs time that nobody would notice.
  EXPECT_EQ(op->reads_all_panels(), HasAvx512());
  std::vector<float> c(m * n, kNan);
  op->Run(a.data(), Packed(b, k, n, DataType::kFloat32).data(), c.data());
  EXPECT_TRUE(Near(c, want, 1e-5));

  if (OnednnMatmul::OperandsFor(ComputeType::kBfloat16).operand != DataType::kBfloat16) return;
  const auto bfloat16 =
      OnednnMatmul::Create({.m = m, .k = k, .n = n, .operand = DataType::kBfloat16});
  ASSERT_TRUE(bfloat16.ok()) << bfloat16.status();
  EXPECT_TRUE(bfloat16->reads_all_panels());
  std::vector<uint16_t> a16(a.size());
  RoundToBfloat16(a.data(), m * k, a16.data());
  bfloat16->Run(a16.data(), Packed(b, k, n, DataType::kBfloat16).data(), c.data());
  EXPECT_TRUE(Near(c, want, k / 128.0));
}

INSTANTIATE_TEST_SUITE_P(Odd, Sizes,
                         testing::Combine(testing::Values(1, 4, 16), testing::Values(1, 5, 33, 64),
                                          testing::Values(1, 16, 64, 70, 200)));

TEST(OnednnMatmul, AddsABiasOrAccumulatesOnTopOfWhatIsThere) {
  const std::vector<float> a = {3}, b = RandomFloats(70, 1), bias = RandomFloats(70, 2);
  const AlignedBuffer packed = Packed(b, 1, 70, DataType::kFloat32);
  const auto add = OnednnMatmul::Create({.m = 1, .k = 1, .n = 70, .accumulate = true});
  const auto biased = OnednnMatmul::Create({.m = 1, .k = 1, .n = 70, .has_bias = true});
  ASSERT_TRUE(add.ok() && biased.ok());
  std::vector<float> sum = bias, c(70, kNan);
  add->Run(a.data(), packed.data(), sum.data());
  biased->Run(a.data(), packed.data(), c.data(), bias.data());
  for (size_t i = 0; i < 70; ++i) {
    EXPECT_NEAR(sum[i], 3 * b[i] + bias[i], 1e-6);
    EXPECT_NEAR(c[i], 3 * b[i] + bias[i], 1e-6);
  }
}

TEST(OnednnMatmul, OnePrimitiveRunsOnManyThreadsAtOnce) {
  const int64_t m = 16, k = 33, n = 65;
  const auto op = OnednnMatmul::Create({.m = m, .k = k, .n = n});
  ASSERT_TRUE(op.ok());
  const std::vector<float> a = RandomFloats(m * k, 1), b = RandomFloats(k * n, 2);
  const AlignedBuffer packed = Packed(b, k, n, DataType::kFloat32);
  const std::vector<double> want = ReferenceProduct(a, b, m, k, n);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        std::vector<float> c(m * n, kNan);
        op->Run(a.data(), packed.data(), c.data());
        EXPECT_TRUE(Near(c, want, 1e-4));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace attention
