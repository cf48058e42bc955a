#include "kernels/normalize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace attention {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(SoftmaxRow, IsSafeForEveryFiniteScore) {
  std::vector<float> row = {1e4f, -1e4f, std::numeric_limits<float>::max(), 0,
                            std::numeric_limits<float>::lowest()};
  SoftmaxRow(absl::MakeSpan(row));
  EXPECT_THAT(row, ElementsAre(0, 0, 1, 0, 0));
}

TEST(SoftmaxRow, LowScoresAreNoLessExactThanHighOnes) {
  for (const float offset : {-1e4f, -80.0f, -16.5f, 0.0f, 15.5f, 80.0f, 1e4f}) {
    std::vector<float> row = {offset + 0.5f, offset + 1.0f, offset - 2.0f};
    double sum = 0;
    for (const float s : row) sum += std::exp(static_cast<double>(s) - offset);
    std::vector<float> weights = row;
    const float log_sum_exp = SoftmaxRow(absl::MakeSpan(weights));
    for (size_t j = 0; j < row.size(); ++j) {
      EXPECT_NEAR(weights[j], std::exp(static_cast<double>(row[j]) - offset) / sum, 1e-7);
    }
    EXPECT_NEAR(log_sum_exp, offset + std::log(sum), 1e-6 * std::max(1.0f, std::abs(offset)));
  }
}

TEST(SoftmaxRow, HiddenKeysGetNothing) {
  std::vector<float> row = {-kInf, 0.5f, -kInf};
  EXPECT_FLOAT_EQ(SoftmaxRow(absl::MakeSpan(row)), 0.5f);
  EXPECT_THAT(row, ElementsAre(0, 1, 0));
}

TEST(SoftmaxRow, LongRowsStillSumToOne) {
  std::vector<float> row(100000, 3.0f);
  SoftmaxRow(absl::MakeSpan(row));
  EXPECT_THAT(row, Each(testing::FloatEq(1e-5f)));
}

TEST(SumRow, DividesByTheSumOfTheSeenKeysAndRefusesZero) {
  std::vector<float> row = {1, -kInf, 3};
  EXPECT_TRUE(SumRow(absl::MakeSpan(row)));
  EXPECT_THAT(row, ElementsAre(0.25f, 0, 0.75f));
  std::vector<float> zero = {1, -1};
  EXPECT_FALSE(SumRow(absl::MakeSpan(zero)));
  EXPECT_THAT(zero, ElementsAre(1, -1));
}

TEST(TopKeys, OrdersByWeightThenByIndexWithNanFirst) {
  const std::vector<float> weights = {0.2f, 0.5f, 0.2f, std::nanf(""), 0.1f};
  std::vector<int32_t> indices(4);
  std::vector<float> values(4);
  TopKeys(weights, absl::MakeSpan(indices), absl::MakeSpan(values));
  EXPECT_THAT(indices, ElementsAre(3, 1, 0, 2));
  EXPECT_FLOAT_EQ(values[1], 0.5f);
}

}  // namespace
}  // namespace attention
