#include "kernels/score_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/aligned_buffer.h"
#include "kernels/softmax_rows.h"
#include "kernels/tile_results.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

// One row of 32 scores through SoftmaxTile.
struct Row {
  explicit Row(float score) {
    std::fill_n(scores.data(), 32, score);
    state.Clear();
  }
  bool Run() {
    return SoftmaxTile({.scores = scores.data(),
                        .rows = 1,
                        .keys = 32,
                        .stride = 32,
                        .states = &state,
                        .factors = &factor});
  }
  AlignedBuffer scores{32};
  RowState state;
  float factor = kNan;
};

TEST(SoftmaxTile, WeightsAreExponentialsWithinOneUnitInTheLastPlace) {
  double worst = 0;
  for (double start = -86; start < 15; start += 0.37) {
    Row row(15.0f);  // the largest keeps the shift at 0
    for (int j = 0; j < 31; ++j) row.scores.data()[j] = static_cast<float>(start + j * 0.011);
    const std::vector<float> scores(row.scores.data(), row.scores.data() + 32);
    row.Run();
    for (int j = 0; j < 32; ++j) {
      const double want = std::exp(static_cast<double>(scores[j]));
      worst = std::max(worst, std::abs(row.scores.data()[j] - want) / want);
    }
  }
  EXPECT_LT(worst, std::ldexp(1.0, -23));
}

TEST(SoftmaxTile, HiddenScoresGiveExactlyZeroAndAnEmptyRowNothing) {
  Row row(-kInf);
  EXPECT_FALSE(row.Run());
  for (int j = 0; j < 32; ++j) EXPECT_EQ(row.scores.data()[j], 0.0f);
  EXPECT_EQ(row.state.Sum(), 0.0);
}

TEST(SoftmaxTile, ALargerScoreRescalesWhatCameBefore) {
  Row row(100.0f);
  EXPECT_FALSE(row.Run()) << "the first scores set the shift and rescale nothing";
  EXPECT_EQ(row.state.shift, 100.0f);
  std::fill_n(row.scores.data(), 32, 110.0f);
  EXPECT_FALSE(row.Run()) << "up to 16 more is borne";
  std::fill_n(row.scores.data(), 32, 130.0f);
  EXPECT_TRUE(row.Run());
  EXPECT_EQ(row.state.shift, 130.0f);
  EXPECT_NEAR(row.factor, std::exp(-30.0), 1e-18);
  const double want = 32 * (1 + std::exp(-20.0) + std::exp(-30.0));
  EXPECT_NEAR(row.state.Sum(), want, want * 1e-6);
}

TEST(SoftmaxTile, NanStaysInItsRow) {
  Row row(1.0f);
  row.scores.data()[9] = kNan;
  row.Run();
  EXPECT_TRUE(std::isnan(row.scores.data()[9]));
  EXPECT_FALSE(std::isnan(row.scores.data()[8]));
  EXPECT_TRUE(std::isnan(row.state.Sum()));
}

TEST(SoftcapRow, IsTheTangensHyperbolicus) {
  for (double x = -12; x < 12; x += 0.0173) {
    float s = static_cast<float>(x);
    const double want = 0.5 * std::tanh(s / 0.5);
    SoftcapRow(&s, 1, 0.5f);
    EXPECT_NEAR(s, want, std::abs(want) * 3 * std::ldexp(1.0, -23)) << x;
  }
  float infinite[] = {kInf, -kInf, kNan};
  SoftcapRow(infinite, 3, 2.0f);
  EXPECT_EQ(infinite[0], 2.0f);
  EXPECT_EQ(infinite[1], -2.0f);
  EXPECT_TRUE(std::isnan(infinite[2]));
}

TEST(TopKeys, LargestFirstTiesToTheLowerIndexNanLargest) {
  const std::vector<float> weights = {0.1f, 0.4f, 0.4f, 0.05f};
  std::vector<int32_t> indices(3);
  std::vector<float> values(3);
  TopKeys(weights, absl::MakeSpan(indices), absl::MakeSpan(values));
  EXPECT_EQ(indices, (std::vector<int32_t>{1, 2, 0}));
  EXPECT_EQ(values, (std::vector<float>{0.4f, 0.4f, 0.1f}));
  const std::vector<float> with_nan = {0.1f, kNan, 0.4f};
  TopKeys(with_nan, absl::MakeSpan(indices), absl::MakeSpan(values));
  EXPECT_EQ(indices, (std::vector<int32_t>{1, 2, 0}));
}

}  // namespace
}  // namespace attention
