// What a query may see: masks, causality, empty rows, and numbers that are not finite.
#include <gtest/gtest.h>

#include "tests/kernels/problem.h"

namespace attention {
namespace {

// Few query rows, which read keys in place, and as many as go through packed keys.
const int64_t kGroups[] = {1, 4};

ProblemShape SmallShape(int64_t group = 1) { return {2, 5, 7, 2 * group, 2, 3, 3}; }

int64_t MaskSize(const ProblemShape& s) { return s.batch * s.num_heads * s.q_len * s.kv_len; }

// Gives the problem a dense mask [batch, num_heads, q_len, kv_len].
template <typename T>
void SetMask(Problem& problem, const std::vector<T>& mask) {
  const ProblemShape& s = problem.shape;
  for (int64_t b = 0; b < s.batch; ++b) {
    MaskView& view = problem.sequences[b].mask;
    view = {.head_stride = s.q_len * s.kv_len, .row_stride = s.kv_len, .key_count = s.kv_len};
    const T* const first = mask.data() + b * s.num_heads * s.q_len * s.kv_len;
    if constexpr (std::is_same_v<T, float>) view.bias = first;
    if constexpr (std::is_same_v<T, uint8_t>) view.visible = first;
  }
}

TEST(Visibility, CausalQueriesSeeNoLaterKey) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    problem.settings.causal = true;
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
    EXPECT_EQ(problem.weights[0], 1.0f);
    EXPECT_EQ(problem.weights[1], 0.0f);
  }
}

TEST(Visibility, CausalityGoesByTheQuerysOwnPosition) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    const std::vector<int64_t> positions = {6, 0, 3, 3, 2};
    for (AttentionSequence& s : problem.sequences) s.query_positions = positions;
    problem.settings.causal = true;
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
  }
}

TEST(Visibility, ANegativeOffsetLeavesTheFirstQueriesNothingToSee) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    problem.settings.causal = true;
    for (AttentionSequence& s : problem.sequences) s.causal_offset = -3;
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
    for (int query = 0; query < 3; ++query) {
      EXPECT_EQ(problem.log_sum_exp[query], -kInf) << query;
      EXPECT_EQ(problem.output[query * 3], 0.0f) << query;
      EXPECT_EQ(problem.weights[query * 7], 0.0f) << query;
    }
    EXPECT_EQ(problem.weights[3 * 7], 1.0f) << "query 3 sees key 0 alone";
  }
}

TEST(Visibility, BoolMaskReallyMasks) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    std::vector<uint8_t> mask(MaskSize(problem.shape));
    for (size_t i = 0; i < mask.size(); ++i) mask[i] = i % 3 != 0;
    SetMask(problem, mask);
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
    EXPECT_EQ(problem.weights[0], 0.0f);
  }
}

TEST(Visibility, FloatMaskIsAddedAndComposesWithCausality) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    const std::vector<float> mask = RandomFloats(MaskSize(problem.shape), 4);
    SetMask(problem, mask);
    problem.settings.causal = true;
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
  }
}

TEST(Visibility, AMaskShorterThanTheKeysHidesTheRest) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    const std::vector<uint8_t> mask = {1, 1, 1};
    for (AttentionSequence& s : problem.sequences) {
      s.mask = {.visible = mask.data(), .key_count = 3};
    }
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
    EXPECT_EQ(problem.weights[3], 0.0f);
  }
}

TEST(Visibility, ARowThatSeesNothingGivesZerosUnderBothNormalizations) {
  for (const Normalization normalization : {Normalization::kSoftmax, Normalization::kSum}) {
    Problem problem(SmallShape());
    for (float& x : problem.query) x = std::abs(x) + 0.1f;
    for (float& x : problem.key) x = std::abs(x) + 0.1f;
    std::vector<uint8_t> mask(MaskSize(problem.shape), 1);
    std::fill_n(mask.begin(), 7, 0);  // the first query of the first head
    SetMask(problem, mask);
    problem.settings.normalization = normalization;
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
    for (int d = 0; d < 3; ++d) EXPECT_EQ(problem.output[d], 0.0f);
    EXPECT_EQ(problem.log_sum_exp[0], -kInf);
  }
}

TEST(Visibility, ALargeNegativeBiasHidesNothingCompletely) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    const std::vector<float> mask(MaskSize(problem.shape), -10000.0f);
    SetMask(problem, mask);
    ASSERT_TRUE(problem.Run().ok());
    for (int i = 0; i < 5; ++i) {
      float sum = 0;
      for (int j = 0; j < 7; ++j) sum += problem.weights[i * 7 + j];
      EXPECT_NEAR(sum, 1.0f, 1e-6);
    }
  }
}

TEST(Visibility, NanAndInfinityInAHiddenKeyOrValueNeverLeak) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    ASSERT_TRUE(problem.Run().ok());
    std::vector<uint8_t> mask(MaskSize(problem.shape), 1);
    for (size_t i = 0; i < mask.size(); i += 7) mask[i + 4] = 0;  // nobody sees key 4
    SetMask(problem, mask);
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
}

TEST(Visibility, NanInAVisibleValueStaysVisibleForThoseWhoSeeIt) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    problem.settings.causal = true;
    problem.value[2 * 3 + 1] = kNan;  // key 2, second element, head 0
    ASSERT_TRUE(problem.Run().ok());
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(std::isnan(problem.output[i * 3 + 1]), i >= 2) << "query " << i;
      EXPECT_FALSE(std::isnan(problem.output[i * 3])) << "query " << i;
    }
  }
}

TEST(Visibility, NanInAQueryIsSeenInItsRowAlone) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    problem.query[1 * 3] = kNan;  // query 1 of head 0
    ASSERT_TRUE(problem.Run().ok());
    for (int i = 0; i < 5; ++i)
      EXPECT_EQ(std::isnan(problem.output[i * 3]), i == 1) << "query " << i;
  }
}

TEST(Visibility, AVisibleScoreOfMinusInfinityIsNotAHiddenKey) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    for (float& x : problem.query) x = -1;
    std::fill_n(problem.key.begin(), 3, kInf);  // key 0 of the first head scores -inf
    ASSERT_TRUE(problem.Run().ok());
    EXPECT_EQ(problem.weights[0], 0.0f);
    for (int d = 0; d < 3; ++d) EXPECT_FALSE(std::isnan(problem.output[d]));

    std::fill_n(problem.key.begin(), 7 * 3, kInf);  // and now all its keys
    ASSERT_TRUE(problem.Run().ok());
    EXPECT_TRUE(std::isnan(problem.weights[0])) << "0 / 0, not the zeros of a row that sees none";
    EXPECT_EQ(problem.log_sum_exp[0], -kInf);
  }
}

TEST(Visibility, FiniteLargeNegativeMasksLeaveTheRowFinite) {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    for (const int64_t group : kGroups) {
      Problem problem(SmallShape(group));
      problem.compute_type = type;
      const std::vector<float> mask(MaskSize(problem.shape), std::numeric_limits<float>::lowest());
      SetMask(problem, mask);
      ASSERT_TRUE(problem.Run().ok());
      for (const float weight : problem.weights) EXPECT_NEAR(weight, 1.0f / 7, 1e-6);
    }
  }
}

TEST(Visibility, SequencesMayHaveNoQueriesOrNoKeys) {
  for (const int64_t group : kGroups) {
    ProblemShape shape = SmallShape(group);
    shape.batch = 3;
    Problem problem(shape);
    ASSERT_TRUE(problem.Run().ok());
    const std::vector<float> first(problem.output.begin(),
                                   problem.output.begin() + problem.output.size() / 3);
    problem.sequences[1].q_len = 0;
    problem.sequences[2].kv_len = problem.sequences[2].visible_len = 0;
    ASSERT_TRUE(problem.Run().ok());
    EXPECT_TRUE(std::equal(first.begin(), first.end(), problem.output.begin()));
    EXPECT_TRUE(std::isnan(problem.output[first.size()])) << "written, though nothing was asked";
    EXPECT_EQ(std::vector<float>(problem.output.end() - first.size(), problem.output.end()),
              std::vector<float>(first.size(), 0));
    EXPECT_EQ(problem.log_sum_exp.back(), -kInf);
  }
}

TEST(Visibility, HugeScoresStayFinite) {
  for (const int64_t group : kGroups) {
    Problem problem(SmallShape(group));
    problem.settings.scale = 1e4f;
    ASSERT_TRUE(problem.Run().ok());
    for (const float x : problem.output) EXPECT_TRUE(std::isfinite(x));
  }
}

}  // namespace
}  // namespace attention
