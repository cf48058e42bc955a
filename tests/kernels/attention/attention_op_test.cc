#include "kernels/attention/attention_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/simd/convert.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

TEST(AttentionOp, QueryHeadsShareKeyValueHeadsInGroups) {
  for (const int64_t q_len : {1, 5, 70}) {
    Problem problem({2, q_len, 9, 6, 2, 4, 7});
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
  }
}

// Head h reads key/value head h / 2, by hand: each key/value head holds one value only.
TEST(AttentionOp, HeadsOfAGroupStandSideBySide) {
  for (const int64_t q_len : {1, 30}) {
    Problem problem({1, q_len, 3, 4, 2, 2, 1});
    problem.value = {7, 7, 7, 9, 9, 9};
    problem.Point();
    ASSERT_TRUE(problem.Run().ok());
    for (int64_t row = 0; row < 4 * q_len; ++row) {
      EXPECT_NEAR(problem.output[row], row / q_len < 2 ? 7 : 9, 1e-5) << row;
    }
  }
}

TEST(AttentionOp, ReadsTokenMajorAndMisalignedMemoryInPlace) {
  for (const int64_t q_len : {1, 5, 40}) {
    Problem problem({1, q_len, 39, 4, 2, 3, 5});
    const auto query = Misaligned(problem.query), key = Misaligned(problem.key);
    const auto value = Misaligned(problem.value);
    AttentionSequence& s = problem.sequences[0];
    s.query = TokenMajorView(query.data() + 1, DataType::kFloat32, 4, 3);
    s.key.current = TokenMajorView(key.data() + 1, DataType::kFloat32, 2, 3);
    s.value.current = TokenMajorView(value.data() + 1, DataType::kFloat32, 2, 5);
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
  }
}

TEST(AttentionOp, WritesMisalignedResultsOfAnyType) {
  Problem problem({1, 20, 39, 2, 1, 8, 5});
  ASSERT_TRUE(problem.Run().ok());
  const ReferenceResult want = ReferenceBatch(problem);
  const std::pair<DataType, double> types[] = {{DataType::kFloat32, 1e-5},
                                               {DataType::kBfloat16, 1.0 / 256},
                                               {DataType::kFloat16, 1.0 / 2048},
                                               {DataType::kFloat64, 1e-5}};
  for (const auto& [tested, tolerance] : types) {
    const DataType type = tested;  // a lambda below captures it
    const int64_t size = ByteSize(type);
    std::vector<std::byte> weights(1 + want.attention_weights.size() * size);
    std::vector<std::byte> scores(weights.size());
    problem.sequences[0].results = {.output = {},
                                    .type = type,
                                    .attention_scores = scores.data() + 1,
                                    .attention_weights = weights.data() + 1};
    ASSERT_TRUE(problem.RunAsIs().ok());
    for (size_t i = 0; i < want.attention_weights.size(); ++i) {
      const auto number = [&](const std::vector<std::byte>& bytes) {
        if (type != DataType::kFloat64) {
          float x = 0;
          ToFloat32(bytes.data() + 1 + i * size, type, 1, &x);
          return static_cast<double>(x);
        }
        double x = 0;
        std::memcpy(&x, bytes.data() + 1 + i * size, sizeof(x));
        return x;
      };
      ASSERT_NEAR(number(weights), want.attention_weights[i], tolerance) << i;
      ASSERT_NEAR(number(scores), want.raw_scores[i], 2 * tolerance) << i;
    }
  }
}

TEST(AttentionOp, SumDividesByTheRowSum) {
  for (const int64_t q_len : {1, 20}) {
    Problem problem({1, q_len, 70, 2, 1, 8, 8});
    for (auto* values : {&problem.query, &problem.key}) {
      for (float& x : *values) x = std::abs(x) + 0.1f;  // so that no row sums to about 0
    }
    problem.settings.normalization = Normalization::kSum;
    problem.settings.causal = true;
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
  }
}

TEST(AttentionOp, NamesTheFirstRowThatSumsToZero) {
  Problem problem({2, 70, 3, 2, 2, 2, 2});
  for (float& x : problem.query) x = 1;
  for (float& x : problem.key) x = 1;
  problem.settings.normalization = Normalization::kSum;
  const int64_t row = (1 * 2 + 0) * 70 + 66;  // sequence 1, head 0, query 66
  problem.query[row * 2] = problem.query[row * 2 + 1] = 0;
  problem.query[(row + 1) * 2] = problem.query[(row + 1) * 2 + 1] = 0;
  const absl::Status status = problem.Run();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("in sequence 1: the attention scores of query 66 in head 0 "),
            std::string::npos)
      << status;
}

TEST(AttentionOp, GivesTheSameBitsOnAnyThreadsAndWhicheverResultsAreAskedFor) {
  for (const int64_t q_len : {2, 80, 200}) {
    for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
      Problem problem({2, q_len, 700, 4, 2, 24, 24});
      problem.compute_type = type;
      problem.settings.causal = true;
      ASSERT_TRUE(problem.Run(1).ok());
      const std::vector<float> output = problem.output, weights = problem.weights;
      ASSERT_TRUE(problem.Run(2).ok());
      EXPECT_EQ(problem.output, output);
      EXPECT_EQ(problem.weights, weights);

      for (AttentionSequence& s : problem.sequences) {
        const MutableHeadsView only = s.results.output;
        s.results = {};
        s.results.output = only;
      }
      problem.output.assign(problem.output.size(), kNan);
      ASSERT_TRUE(problem.RunAsIs().ok());
      EXPECT_EQ(problem.output, output);
    }
  }
}

TEST(AttentionOp, GivesASequenceTheSameBitsAloneInABatchAndAmongOtherLengths) {
  for (const int64_t q_len : {1, 21, 150}) {
    Problem batch({3, q_len, 330, 2, 1, 8, 8});
    ASSERT_TRUE(batch.Run().ok());
    const auto second = batch.output.begin() + 2 * q_len * 8;
    const std::vector<float> want(second, second + 2 * q_len * 8);

    const std::vector<AttentionSequence> all = batch.sequences;
    batch.sequences = {all[1]};
    batch.output.assign(batch.output.size(), kNan);
    ASSERT_TRUE(batch.RunAsIs().ok());
    EXPECT_EQ(std::vector<float>(second, second + 2 * q_len * 8), want);

    batch.sequences = {all[0], all[1], all[2]};
    batch.sequences[0].kv_len = batch.sequences[0].visible_len = 17;
    batch.sequences[0].q_len = 1;
    batch.sequences[2].kv_len = batch.sequences[2].visible_len = 200;
    for (int b : {0, 2}) {
      batch.sequences[b].results = {};
      batch.sequences[b].results.log_sum_exp = batch.log_sum_exp.data();
    }
    batch.output.assign(batch.output.size(), kNan);
    ASSERT_TRUE(batch.RunAsIs().ok());
    EXPECT_EQ(std::vector<float>(second, second + 2 * q_len * 8), want);
  }
}

TEST(AttentionOp, CombinesWeightsThatAreGivenAsTheyAre) {
  const std::vector<float> weights = {0.5f, 0, 2, 0, 0, 0, 1, 1, 1};  // three rows
  const std::vector<float> value = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> rows = {2, 0};
  std::vector<float> output(4);
  const auto op = AttentionOp::Create({.head_dim = 1, .v_head_dim = 2});
  ASSERT_TRUE(op.ok());
  Executor executor(1);
  WeightedSequence s;
  s.q_len = 2;
  s.kv_len = 3;
  s.attention_weights =
      HeadMajorView(reinterpret_cast<const std::byte*>(weights.data()), DataType::kFloat32, 3, 3);
  s.value.current =
      HeadMajorView(reinterpret_cast<const std::byte*>(value.data()), DataType::kFloat32, 3, 2);
  s.query_positions = rows;
  s.results.output =
      HeadMajorView(reinterpret_cast<std::byte*>(output.data()), DataType::kFloat32, 2, 2);
  ASSERT_TRUE(op->Combine({}, {&s, 1}, executor).ok());
  EXPECT_EQ(output, (std::vector<float>{9, 12, 10.5f, 13}));
}

TEST(AttentionOp, RefusesWidthsBelowOne) {
  EXPECT_EQ(AttentionOp::Create({.head_dim = 0, .v_head_dim = 1}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attention
