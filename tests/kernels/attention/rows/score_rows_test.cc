#include "kernels/attention/rows/score_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/attention/rows/softmax_rows.h"
#include "kernels/attention/tile_results.h"
#include "kernels/memory/aligned_buffer.h"
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

// The softcap of one score.
float Capped(float s, float softcap, bool approximate = false, float scale = 1) {
  ApplyStages(&s, 1, {.scale = scale, .softcap = softcap, .approximate = approximate});
  return s;
}

TEST(ApplyStages, CapsByTanh) {
  for (double x = -12; x < 12; x += 0.0173) {
    const auto s = static_cast<float>(x);
    const double want = 0.5 * std::tanh(s / 0.5);
    EXPECT_NEAR(Capped(s, 0.5f), want, std::abs(want) * 4 * std::ldexp(1.0, -23)) << x;
    EXPECT_NEAR(Capped(s, 0.5f, /*approximate=*/true), want, std::abs(want) * 5e-4) << x;
  }
}

TEST(ApplyStages, CapsInfinitiesAndKeepsNan) {
  EXPECT_EQ(Capped(kInf, 2.0f), 2.0f);
  EXPECT_EQ(Capped(-kInf, 2.0f), -2.0f);
  EXPECT_NEAR(Capped(-kInf, 2.0f, /*approximate=*/true), -2.0f, 1e-3);
  EXPECT_TRUE(std::isnan(Capped(kNan, 2.0f)));
  EXPECT_TRUE(std::isnan(Capped(kNan, 2.0f, /*approximate=*/true)));
}

TEST(ApplyStages, ACapNextToNothingLeavesZeroAlone) {
  EXPECT_EQ(Capped(0.0f, 1e-42f, /*approximate=*/false, 8.0f), 0.0f);
  EXPECT_EQ(Capped(3.0f, 1e-42f, /*approximate=*/false, 8.0f), 1e-42f);
}

TEST(ApplyStages, TakesEachStepInItsOrder) {
  // Not a multiple of any vector; the bias and the flags end where the scores do.
  constexpr int64_t kCount = 37;
  std::vector<float> s(kCount), bias(kCount);
  std::vector<uint8_t> visible(kCount);
  std::vector<double> want(kCount);
  for (int64_t j = 0; j < kCount; ++j) {
    s[j] = 0.3f * static_cast<float>(j) - 5;
    bias[j] = j % 5 == 0 ? -kInf : 0.1f * static_cast<float>(j);
    visible[j] = j % 7 != 0;
    const double capped = 3 * std::tanh(2.0 * s[j] / 3);
    const bool hidden = j % 5 == 0 || j % 7 == 0;
    want[j] = hidden ? -77 : capped - 0.25 * std::abs(11.0 - static_cast<double>(j)) + bias[j];
  }
  ApplyStages(s.data(), kCount,
              {.scale = 2,
               .softcap = 3,
               .slope = 0.25f,
               .distance = 11,
               .bias = bias.data(),
               .visible = visible.data(),
               .hidden = -77});
  for (int64_t j = 0; j < kCount; ++j) EXPECT_NEAR(s[j], want[j], 2e-6) << j;
}

TEST(ApplyStages, HidesNanAndInfinity) {
  float s[] = {kNan, kInf, 1, kNan};
  const float bias[] = {-kInf, -kInf, 1, 1};
  ApplyStages(s, 4, {.bias = bias, .hidden = -kInf});
  EXPECT_EQ(s[0], -kInf);
  EXPECT_EQ(s[1], -kInf);
  EXPECT_EQ(s[2], 2.0f);
  EXPECT_TRUE(std::isnan(s[3])) << "a NaN that is seen stays";
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
