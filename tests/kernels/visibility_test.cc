// What a query may see: masks, causality, empty rows, and numbers that are not finite.
#include <gtest/gtest.h>

#include "tests/kernels/problem.h"

namespace attention {
namespace {

AttentionShape SmallShape() {
  return {.batch = 2,
          .q_len = 5,
          .kv_len = 7,
          .num_heads = 2,
          .num_kv_heads = 2,
          .head_dim = 3,
          .v_head_dim = 3};
}

// The view of a dense mask [batch, num_heads, q_len, kv_len].
template <typename T>
MaskView FullMask(const AttentionShape& s, const std::vector<T>& mask) {
  MaskView view = {.batch_stride = s.num_heads * s.q_len * s.kv_len,
                   .head_stride = s.q_len * s.kv_len,
                   .row_stride = s.kv_len,
                   .key_count = s.kv_len};
  if constexpr (std::is_same_v<T, float>) view.bias = mask.data();
  if constexpr (std::is_same_v<T, uint8_t>) view.visible = mask.data();
  return view;
}

int64_t MaskSize(const AttentionShape& s) { return s.batch * s.num_heads * s.q_len * s.kv_len; }

TEST(Visibility, CausalQueriesSeeNoLaterKey) {
  Problem problem(SmallShape());
  problem.inputs.causal = true;
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
  EXPECT_EQ(problem.weights[0], 1.0f);
  EXPECT_EQ(problem.weights[1], 0.0f);
}

TEST(Visibility, CausalityGoesByTheQuerysOwnPosition) {
  Problem problem(SmallShape());
  const std::vector<int64_t> positions = {6, 0, 3, 3, 2};
  problem.inputs.query_positions = positions;
  problem.inputs.causal = true;
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
}

TEST(Visibility, BoolMaskReallyMasks) {
  Problem problem(SmallShape());
  std::vector<uint8_t> mask(MaskSize(problem.inputs.shape));
  for (size_t i = 0; i < mask.size(); ++i) mask[i] = i % 3 != 0;
  problem.inputs.mask = FullMask(problem.inputs.shape, mask);
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
  EXPECT_EQ(problem.weights[0], 0.0f);
}

TEST(Visibility, FloatMaskIsAddedAndComposesWithCausality) {
  Problem problem(SmallShape());
  const std::vector<float> mask = RandomFloats(MaskSize(problem.inputs.shape), 4);
  problem.inputs.mask = FullMask(problem.inputs.shape, mask);
  problem.inputs.causal = true;
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
}

TEST(Visibility, AMaskShorterThanTheKeysHidesTheRest) {
  Problem problem(SmallShape());
  const std::vector<uint8_t> mask = {1, 1, 1};
  problem.inputs.mask = {.visible = mask.data(), .key_count = 3};
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
  EXPECT_EQ(problem.weights[3], 0.0f);
}

TEST(Visibility, ARowThatSeesNothingGivesZerosUnderBothNormalizations) {
  for (const Normalization normalization : {Normalization::kSoftmax, Normalization::kSum}) {
    Problem problem(SmallShape());
    for (float& x : problem.query) x = std::abs(x) + 0.1f;
    for (float& x : problem.key) x = std::abs(x) + 0.1f;
    std::vector<uint8_t> mask(MaskSize(problem.inputs.shape), 1);
    std::fill_n(mask.begin(), 7, 0);  // the first query of the first head
    problem.inputs.mask = FullMask(problem.inputs.shape, mask);
    problem.inputs.normalization = normalization;
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
    for (int d = 0; d < 3; ++d) EXPECT_EQ(problem.output[d], 0.0f);
    EXPECT_EQ(problem.log_sum_exp[0], -kInf);
  }
}

TEST(Visibility, ALargeNegativeBiasHidesNothingCompletely) {
  Problem problem(SmallShape());
  const std::vector<float> mask(MaskSize(problem.inputs.shape), -10000.0f);
  problem.inputs.mask = FullMask(problem.inputs.shape, mask);
  ASSERT_TRUE(problem.Run().ok());
  for (int i = 0; i < 5; ++i) {
    float sum = 0;
    for (int j = 0; j < 7; ++j) sum += problem.weights[i * 7 + j];
    EXPECT_NEAR(sum, 1.0f, 1e-6);
  }
}

TEST(Visibility, NanAndInfinityInAHiddenKeyOrValueNeverLeak) {
  Problem problem(SmallShape());
  ASSERT_TRUE(problem.Run().ok());
  std::vector<uint8_t> mask(MaskSize(problem.inputs.shape), 1);
  for (size_t i = 0; i < mask.size(); i += 7) mask[i + 4] = 0;  // nobody sees key 4
  problem.inputs.mask = FullMask(problem.inputs.shape, mask);
  ASSERT_TRUE(problem.Run().ok());
  const std::vector<float> clean = problem.output, clean_weighted = problem.weighted_values;
  for (const float poison : {kNan, kInf, -kInf}) {
    for (int head = 0; head < 4; ++head) {  // batch * num_kv_heads
      std::fill_n(problem.key.begin() + (head * 7 + 4) * 3, 3, poison);
      std::fill_n(problem.value.begin() + (head * 7 + 4) * 3, 3, poison);
    }
    ASSERT_TRUE(problem.Run().ok());
    EXPECT_EQ(problem.output, clean);
    EXPECT_EQ(problem.weighted_values, clean_weighted);
  }
}

TEST(Visibility, NanInAVisibleValueStaysVisibleForThoseWhoSeeIt) {
  Problem problem(SmallShape());
  problem.inputs.causal = true;
  problem.value[2 * 3 + 1] = kNan;  // key 2, second element, head 0
  ASSERT_TRUE(problem.Run().ok());
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(std::isnan(problem.output[i * 3 + 1]), i >= 2) << "query " << i;
    EXPECT_FALSE(std::isnan(problem.output[i * 3])) << "query " << i;
  }
}

TEST(Visibility, NanInAQueryIsSeenInItsRowAlone) {
  Problem problem(SmallShape());
  problem.query[1 * 3] = kNan;  // query 1 of head 0
  ASSERT_TRUE(problem.Run().ok());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(std::isnan(problem.output[i * 3]), i == 1) << "query " << i;
}

}  // namespace
}  // namespace attention
