// What a query may see: masks, causality and empty rows.
#include <cmath>

#include "tests/kernels/attention/each_way.h"

namespace attention {
namespace {

class Visibility : public EachWay {};
INSTANTIATE_TEST_SUITE_P(Ways, Visibility, AllWays(), WayName);

TEST_P(Visibility, CausalQueriesSeeNoLaterKey) {
  problem_.settings.causal = true;
  RunAgainstOracle();
  EXPECT_EQ(problem_.weights[0], 1.0f);
  EXPECT_EQ(problem_.weights[1], 0.0f);
}

TEST_P(Visibility, CausalityGoesByTheQuerysOwnPosition) {
  std::vector<int64_t> positions(q_len());
  for (int64_t i = 0; i < q_len(); ++i) positions[i] = (i * 37 + 6) % kv_len();
  for (AttentionSequence& s : problem_.sequences) s.query_positions = positions;
  problem_.settings.causal = true;
  RunAgainstOracle();
}

TEST_P(Visibility, ANegativeOffsetLeavesTheFirstQueriesNothingToSee) {
  problem_.settings.causal = true;
  for (AttentionSequence& s : problem_.sequences) s.causal_offset = -3;
  RunAgainstOracle();
  for (int query = 0; query < 3; ++query) {
    EXPECT_EQ(problem_.log_sum_exp[query], -kInf) << query;
    EXPECT_EQ(problem_.output[query * kDim], 0.0f) << query;
    EXPECT_EQ(problem_.weights[query * kv_len()], 0.0f) << query;
  }
  EXPECT_EQ(problem_.weights[3 * kv_len()], 1.0f) << "query 3 sees key 0 alone";
}

TEST_P(Visibility, BoolMaskReallyMasks) {
  std::vector<uint8_t> mask(MaskSize());
  for (size_t i = 0; i < mask.size(); ++i) mask[i] = i % 3 != 0;
  SetMask(mask);
  RunAgainstOracle();
  EXPECT_EQ(problem_.weights[0], 0.0f);
}

TEST_P(Visibility, FloatMaskIsAddedAndComposesWithCausality) {
  const std::vector<float> mask = RandomFloats(MaskSize(), 4);
  SetMask(mask);
  for (const bool causal : {false, true}) {
    problem_.settings.causal = causal;
    RunAgainstOracle();
  }
}

TEST_P(Visibility, AMaskShorterThanTheKeysHidesTheRest) {
  const std::vector<uint8_t> mask(kv_len() - 4, 1);
  for (AttentionSequence& s : problem_.sequences) {
    s.mask = {.visible = mask.data(), .key_count = kv_len() - 4};
  }
  RunAgainstOracle();
  EXPECT_EQ(problem_.weights[kv_len() - 4], 0.0f);
}

TEST_P(Visibility, ARowThatSeesNothingGivesZerosUnderBothNormalizations) {
  for (float& x : problem_.query) x = std::abs(x) + 0.1f;
  for (float& x : problem_.key) x = std::abs(x) + 0.1f;
  std::vector<uint8_t> mask(MaskSize(), 1);
  std::fill_n(mask.begin(), kv_len(), 0);  // the first query of the first head
  SetMask(mask);
  for (const Normalization normalization : {Normalization::kSoftmax, Normalization::kSum}) {
    if (normalization == Normalization::kSum && compute_type() == ComputeType::kBfloat16) continue;
    problem_.settings.normalization = normalization;
    RunAgainstOracle();
    for (int d = 0; d < kDim; ++d) EXPECT_EQ(problem_.output[d], 0.0f);
    EXPECT_EQ(problem_.log_sum_exp[0], -kInf);
    EXPECT_EQ(SumOfWeights(0), 0);
  }
}

TEST_P(Visibility, ARowThatSeesNothingButItsSinkGivesZerosToo) {
  const std::vector<float> sinks(problem_.shape.num_heads, 0.5f);
  problem_.settings.sinks = sinks;
  problem_.settings.causal = true;
  for (AttentionSequence& s : problem_.sequences) s.causal_offset = -1;
  RunAgainstOracle();
  EXPECT_EQ(problem_.log_sum_exp[0], -kInf);
  EXPECT_EQ(problem_.output[0], 0.0f);
  EXPECT_GT(problem_.log_sum_exp[1], 0.5f) << "the sink and key 0";
}

TEST_P(Visibility, SequencesMayHaveNoQueriesOrNoKeys) {
  ProblemShape shape = Shape();
  shape.batch = 3;
  Problem problem(shape);
  problem.compute_type = compute_type();
  ASSERT_TRUE(problem.Run().ok());
  const auto size = static_cast<int64_t>(problem.output.size()) / 3;
  const std::vector<float> first(problem.output.begin(), problem.output.begin() + size);
  problem.sequences[1].q_len = 0;
  problem.sequences[2].kv_len = problem.sequences[2].visible_len = 0;
  ASSERT_TRUE(problem.Run().ok());
  EXPECT_TRUE(std::equal(first.begin(), first.end(), problem.output.begin()));
  EXPECT_TRUE(std::isnan(problem.output[size])) << "written, though nothing was asked";
  EXPECT_EQ(std::vector<float>(problem.output.end() - size, problem.output.end()),
            std::vector<float>(size, 0));
  EXPECT_EQ(problem.log_sum_exp.back(), -kInf);
}

}  // namespace
}  // namespace attention
