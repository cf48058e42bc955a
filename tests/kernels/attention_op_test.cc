#include "kernels/attention_op.h"

#include <gtest/gtest.h>

#include "tests/kernels/problem.h"

namespace attention {
namespace {

class LengthsAndWidths : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(LengthsAndWidths, MatchTheOracle) {
  const auto [q_len, kv_len, head_dim] = GetParam();
  Problem problem({.batch = 2,
                   .q_len = q_len,
                   .kv_len = kv_len,
                   .num_heads = 2,
                   .num_kv_heads = 1,
                   .head_dim = head_dim,
                   .v_head_dim = head_dim});
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
}

// 1, 3, 17 and each tile size, one less and one more.
INSTANTIATE_TEST_SUITE_P(QueryTiles, LengthsAndWidths,
                         testing::Combine(testing::Values(1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65),
                                          testing::Values(17), testing::Values(8)));
INSTANTIATE_TEST_SUITE_P(KeyTiles, LengthsAndWidths,
                         testing::Combine(testing::Values(3),
                                          testing::Values(1, 3, 15, 16, 17, 63, 64, 65, 511, 512,
                                                          513, 1000),
                                          testing::Values(8)));
INSTANTIATE_TEST_SUITE_P(Widths, LengthsAndWidths,
                         testing::Combine(testing::Values(5), testing::Values(70),
                                          testing::Values(1, 3, 8, 40, 64, 80, 96, 128, 256)));

TEST(AttentionOp, QueryHeadsShareKeyValueHeadsInGroups) {
  Problem problem({.batch = 2,
                   .q_len = 5,
                   .kv_len = 9,
                   .num_heads = 6,
                   .num_kv_heads = 2,
                   .head_dim = 4,
                   .v_head_dim = 7});
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
}

TEST(AttentionOp, ReadsTokenMajorAndMisalignedMemoryInPlace) {
  Problem problem({.batch = 2,
                   .q_len = 5,
                   .kv_len = 9,
                   .num_heads = 4,
                   .num_kv_heads = 2,
                   .head_dim = 3,
                   .v_head_dim = 5});
  problem.query.insert(problem.query.begin(), kNan);  // off by one float from any alignment
  problem.key.insert(problem.key.begin(), kNan);
  problem.value.insert(problem.value.begin(), kNan);
  problem.inputs.query = TokenMajorView<const float>(problem.query.data() + 1, 5, 4, 3);
  problem.inputs.key = TokenMajorView<const float>(problem.key.data() + 1, 9, 2, 3);
  problem.inputs.value = TokenMajorView<const float>(problem.value.data() + 1, 9, 2, 5);
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
}

TEST(AttentionOp, SumDividesByTheRowSum) {
  Problem problem({.q_len = 4, .kv_len = 70, .head_dim = 8, .v_head_dim = 8});
  for (auto* values : {&problem.query, &problem.key}) {
    for (float& x : *values) x = std::abs(x) + 0.1f;  // so that no row sums to about 0
  }
  problem.inputs.normalization = Normalization::kSum;
  problem.inputs.causal = true;
  ASSERT_TRUE(problem.Run().ok());
  ExpectMatchesOracle(problem);
}

TEST(AttentionOp, NamesTheFirstRowThatSumsToZero) {
  Problem problem({.batch = 2,
                   .q_len = 70,
                   .kv_len = 3,
                   .num_heads = 2,
                   .num_kv_heads = 2,
                   .head_dim = 2,
                   .v_head_dim = 2});
  for (float& x : problem.key) x = 1.0f;
  for (float& x : problem.query) x = 1.0f;
  for (const int row : {1, 69, 140}) {  // of [batch 2, heads 2, 70]
    problem.query[row * 2] = problem.query[row * 2 + 1] = 0.0f;
  }
  problem.inputs.normalization = Normalization::kSum;
  const absl::Status status = problem.Run();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "the attention scores of query 1 in head 0 of sequence 0 sum to 0; normalization SUM "
            "wants a sum other than 0, or use SOFTMAX");
}

TEST(AttentionOp, GivesTheSameBitsOnOneThreadAndTwoAndWhateverElseIsAskedFor) {
  Problem problem({.batch = 3,
                   .q_len = 130,
                   .kv_len = 600,
                   .num_heads = 2,
                   .num_kv_heads = 2,
                   .head_dim = 20,
                   .v_head_dim = 20});
  ASSERT_TRUE(problem.Run(1).ok());
  const std::vector<float> alone = problem.output;
  ASSERT_TRUE(problem.Run(2).ok());
  EXPECT_EQ(problem.output, alone);

  std::vector<float> output_only(alone.size(), kNan);
  const AttentionShape& s = problem.inputs.shape;
  ASSERT_TRUE(problem
                  .RunInto({.output = HeadMajorView(output_only.data(), s.q_len, s.num_heads,
                                                    s.v_head_dim)})
                  .ok());
  EXPECT_EQ(output_only, alone);
}

TEST(AttentionOp, GivesASequenceTheSameBitsAloneAndInABatch) {
  Problem batch({.batch = 3,
                 .q_len = 21,
                 .kv_len = 33,
                 .num_heads = 2,
                 .num_kv_heads = 1,
                 .head_dim = 8,
                 .v_head_dim = 8});
  ASSERT_TRUE(batch.Run().ok());
  Problem alone = batch;
  alone.inputs.shape.batch = 1;
  alone.query.erase(alone.query.begin(), alone.query.begin() + 2 * 21 * 8);  // sequence 1 first
  alone.key.erase(alone.key.begin(), alone.key.begin() + 33 * 8);
  alone.value.erase(alone.value.begin(), alone.value.begin() + 33 * 8);
  alone.Point();
  ASSERT_TRUE(alone.Run().ok());
  const auto second = batch.output.begin() + 2 * 21 * 8;
  EXPECT_EQ(alone.output, std::vector<float>(second, second + 2 * 21 * 8));
}

TEST(AttentionOp, CombinesWeightsThatAreGivenAsTheyAre) {
  const AttentionShape shape = {.q_len = 2, .kv_len = 3, .v_head_dim = 2};
  const std::vector<float> weights = {0.5f, 0, 2, 0, 0, 0, 1, 1, 1};  // three rows
  const std::vector<float> value = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> rows = {2, 0};
  std::vector<float> output(4);
  const auto op =
      AttentionOp::Create({.head_dim = 1, .v_head_dim = 2, .tiles = AttentionOp::Tiles(2, 3)});
  ASSERT_TRUE(op.ok());
  Executor executor(1);
  ASSERT_TRUE(op->Combine({.shape = shape,
                           .attention_weights = HeadMajorView(weights.data(), 3, 1, 3),
                           .value = HeadMajorView(value.data(), 3, 1, 2),
                           .query_positions = rows},
                          {.output = HeadMajorView(output.data(), 2, 1, 2)}, executor)
                  .ok());
  EXPECT_EQ(output, (std::vector<float>{9, 12, 10.5f, 13}));
}

TEST(AttentionOp, RefusesWidthsBelowOne) {
  EXPECT_EQ(AttentionOp::Create({.head_dim = 0, .v_head_dim = 1, .tiles = {1, 16}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attention
