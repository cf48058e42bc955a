#include "kernels/simd/packed_panels.h"

#include <gtest/gtest.h>

#include "kernels/memory/aligned_buffer.h"
#include "kernels/memory/panel_layout.h"
#include "kernels/simd/convert.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

// Element (row, column) of a packed B with k rows.
float At(const AlignedBuffer& packed, int64_t k, DataType operand, RowPairs pairs, int64_t row,
         int64_t column) {
  const auto* const panel =
      reinterpret_cast<const char*>(packed.data()) + column / 64 * PackedPanelBytes(k, operand);
  if (operand == DataType::kFloat32) {
    return reinterpret_cast<const float*>(panel)[row * 64 + column % 64];
  }
  const int64_t in_block = row % 32;
  const bool apart = pairs == RowPairs::kSixteenApart;
  const int64_t pair = row / 32 * 16 + (apart ? in_block % 16 : in_block / 2);
  const int64_t half = apart ? in_block / 16 : in_block % 2;
  float x = 0;
  ToFloat32(reinterpret_cast<const uint16_t*>(panel) + (pair * 64 + column % 64) * 2 + half,
            DataType::kBfloat16, 1, &x);
  return x;
}

class Packing : public testing::TestWithParam<std::tuple<int, int, DataType>> {};

TEST_P(Packing, RowsLieInPanelsWithZerosAround) {
  const auto [k, n, operand] = GetParam();
  const std::vector<float> b = RandomFloats(k * n, 1);
  for (const RowPairs pairs : {RowPairs::kNeighbours, RowPairs::kSixteenApart}) {
    AlignedBuffer packed(PackedBytes(k, n, operand) / 4);
    std::fill_n(packed.data(), packed.size(), kNan);
    PackRows({b.data(), DataType::kFloat32, n, k, n}, {.operand = operand}, pairs, 0,
             PaddedDepth(k, operand), PackedPanelBytes(k, operand), packed.data());
    for (int64_t row = 0; row < PaddedDepth(k, operand); ++row) {
      for (int64_t column = 0; column < (n + 63) / 64 * 64; ++column) {
        const float want = row < k && column < n ? b[row * n + column] : 0.0f;
        ASSERT_NEAR(At(packed, k, operand, pairs, row, column), want,
                    operand == DataType::kFloat32 ? 0 : 1.0 / 256)
            << row << " " << column;
      }
    }
  }
}

TEST_P(Packing, TransposedRowsBecomeColumns) {
  const auto [k, keys, operand] = GetParam();
  const int64_t n = std::min(keys, 64);
  const std::vector<float> transposed = RandomFloats(n * k, 1);
  AlignedBuffer packed(PackedBytes(k, n, operand) / 4);
  std::fill_n(packed.data(), packed.size(), kNan);
  PackTransposedPanel({transposed.data(), DataType::kFloat32, k, n, k}, {.operand = operand},
                      packed.data());
  for (int64_t row = 0; row < PaddedDepth(k, operand); ++row) {
    for (int64_t column = 0; column < 64; ++column) {
      const float want = row < k && column < n ? transposed[column * k + row] : 0.0f;
      ASSERT_NEAR(At(packed, k, operand, RowPairs::kNeighbours, row, column), want,
                  operand == DataType::kFloat32 ? 0 : 1.0 / 256)
          << row << " " << column;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    OddSizes, Packing,
    testing::Combine(testing::Values(1, 3, 16, 33, 64, 65, 130), testing::Values(1, 17, 64, 70),
                     testing::Values(DataType::kFloat32, DataType::kBfloat16)));

TEST(NonFiniteRows, FindsInfinitiesAndNansAndWhatRoundsToThem) {
  std::vector<float> rows = RandomFloats(64 * 5, 1);
  const auto found = [&](bool bfloat16) {
    return NonFiniteRows({rows.data(), DataType::kFloat32, 5, 64, 5},
                         {.round_to_bfloat16 = bfloat16});
  };
  EXPECT_EQ(found(false), 0u);
  rows[3 * 5 + 4] = kInf;
  rows[63 * 5] = kNan;
  rows[7 * 5] = std::numeric_limits<float>::max();
  const uint64_t both = uint64_t{1} << 3 | uint64_t{1} << 63;
  EXPECT_EQ(found(false), both);
  EXPECT_EQ(found(true), both | uint64_t{1} << 7);
}

}  // namespace
}  // namespace attention
