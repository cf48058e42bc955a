// Numbers that are not finite, and numbers that are so only just.
#include <cmath>
#include <cstring>

#include "tests/kernels/attention/each_way.h"

namespace attention {
namespace {

class ExtremeNumbers : public EachWay {};
INSTANTIATE_TEST_SUITE_P(Ways, ExtremeNumbers, AllWays(), WayName);

float FromBits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// NaNs of any payload and sign: x86's own, a CUDA device's, and some between.
const float kNans[] = {kNan,
                       FromBits(0x7FC00001),
                       FromBits(0x7FC000FF),
                       FromBits(0x7FFFFFFF),
                       FromBits(0xFFC00000),
                       FromBits(0xFFFFFFFF)};

TEST_P(ExtremeNumbers, InAHiddenKeyOrValueNeverLeak) {
  const int64_t hidden = kv_len() / 2;
  std::vector<uint8_t> mask(MaskSize(), 1);
  for (size_t i = hidden; i < mask.size(); i += kv_len()) mask[i] = 0;
  SetMask(mask);
  Run();
  const std::vector<float> clean = problem_.output, clean_weighted = problem_.weighted_values;
  for (const float poison : {kNan, FromBits(0x7FFFFFFF), kInf, -kInf}) {
    for (int64_t head = 0; head < kBatch * kKvHeads; ++head) {
      const int64_t at = (head * kv_len() + hidden) * kDim;
      std::fill_n(problem_.key.begin() + at, kDim, poison);
      std::fill_n(problem_.value.begin() + at, kDim, poison);
    }
    Run();
    EXPECT_EQ(problem_.output, clean);
    EXPECT_EQ(problem_.weighted_values, clean_weighted);
  }
}

TEST_P(ExtremeNumbers, ANanInAVisibleValueStaysVisibleForThoseWhoSeeIt) {
  problem_.settings.causal = true;
  problem_.value[2 * kDim + 1] = kNan;  // key 2, second element, head 0
  Run();
  for (int64_t i = 0; i < q_len(); ++i) {
    EXPECT_EQ(std::isnan(problem_.output[i * kDim + 1]), i >= 2) << "query " << i;
    EXPECT_FALSE(std::isnan(problem_.output[i * kDim])) << "query " << i;
  }
}

TEST_P(ExtremeNumbers, ANanOfAnyPayloadInAQueryIsSeenInItsRowAlone) {
  for (const float nan : kNans) {
    problem_.query[1 * kDim] = nan;  // query 1 of head 0
    Run();
    for (int64_t i = 0; i < q_len(); ++i) {
      EXPECT_EQ(std::isnan(problem_.output[i * kDim]), i == 1) << "query " << i;
      EXPECT_EQ(std::isnan(problem_.weights[i * kv_len()]), i == 1) << "query " << i;
      EXPECT_EQ(std::isnan(problem_.log_sum_exp[i]), i == 1) << "query " << i;
    }
  }
}

TEST_P(ExtremeNumbers, ANanOfAnyPayloadInAFloatMaskIsSeenInItsRowAlone) {
  for (const float nan : kNans) {
    std::vector<float> mask(MaskSize(), 0.0f);
    mask[1 * kv_len() + 4] = nan;
    SetMask(mask);
    Run();
    for (int64_t i = 0; i < q_len(); ++i) {
      EXPECT_EQ(std::isnan(problem_.output[i * kDim]), i == 1) << "query " << i;
      EXPECT_EQ(std::isnan(problem_.weights[i * kv_len()]), i == 1) << "query " << i;
    }
  }
}

TEST_P(ExtremeNumbers, AVisibleScoreOfMinusInfinityIsNotAHiddenKey) {
  for (float& x : problem_.query) x = -1;
  std::fill_n(problem_.key.begin(), kDim, kInf);  // key 0 of the first head scores -inf
  Run();
  EXPECT_EQ(problem_.weights[0], 0.0f);
  for (int d = 0; d < kDim; ++d) EXPECT_FALSE(std::isnan(problem_.output[d]));

  std::fill_n(problem_.key.begin(), kv_len() * kDim, kInf);  // and now all its keys
  Run();
  EXPECT_TRUE(std::isnan(problem_.weights[0])) << "0 / 0, not the zeros of a row that sees none";
  EXPECT_TRUE(std::isnan(problem_.output[0]));
  EXPECT_EQ(problem_.log_sum_exp[0], -kInf);
}

// A bias that is the same for all keys changes no weight, however large: it only must be finite.
TEST_P(ExtremeNumbers, ALargeBiasHidesNothingCompletely) {
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  for (const float bias : {-1e4f, -1e9f, -1e11f, -1e12f, -1e15f, -1e20f, -1e30f, kLowest, 2e30f}) {
    const std::vector<float> mask(MaskSize(), bias);
    SetMask(mask);
    Run();
    for (int64_t row = 0; row < problem_.shape.num_heads * q_len(); ++row) {
      ASSERT_NEAR(SumOfWeights(row), 1, 1e-5) << "row " << row << " with " << bias;
    }
    EXPECT_NEAR(problem_.log_sum_exp[0], bias, std::abs(bias) * 1e-2);
  }
}

// The largest score takes all weight, or shares it with those that round to the same.
TEST_P(ExtremeNumbers, HugeScoresStayFinite) {
  for (const float scale : {1e4f, 1e6f, 1.1e9f, 1.1e10f, 1e20f, 1e30f}) {
    problem_.settings.scale = scale;
    Run();
    for (const float x : problem_.output) ASSERT_TRUE(std::isfinite(x)) << scale;
    for (int64_t row = 0; row < problem_.shape.num_heads * q_len(); ++row) {
      ASSERT_NEAR(SumOfWeights(row), 1, 1e-5) << "row " << row << " at scale " << scale;
    }
  }
}

}  // namespace
}  // namespace attention
