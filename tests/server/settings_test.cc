// Each setting of the operator through the API, against the oracle with the same setting: that it
// reaches the kernels, and with the meaning that the API gives it.
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "client/tensor.h"
#include "tests/kernels/problem.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using Config = v1::AttentionConfig;

class Settings : public RunningServer {
 protected:
  static constexpr ProblemShape kShape = {.batch = 2,
                                          .q_len = 6,
                                          .kv_len = 9,
                                          .num_heads = 4,
                                          .num_kv_heads = 2,
                                          .head_dim = 8,
                                          .v_head_dim = 5};

  static v1::ComputeAttentionRequest ToRequest(const Problem& problem,
                                               v1::DataType type = v1::DATA_TYPE_FLOAT32) {
    const ProblemShape& s = problem.shape;
    v1::ComputeAttentionRequest request;
    v1::ProjectedSource& to = *request.mutable_projected();
    *to.mutable_query() =
        MakeTensor({s.batch, s.num_heads, s.q_len, s.head_dim}, problem.query, type);
    *to.mutable_key() =
        MakeTensor({s.batch, s.num_kv_heads, s.kv_len, s.head_dim}, problem.key, type);
    *to.mutable_value() =
        MakeTensor({s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim}, problem.value, type);
    return request;
  }

  // Both sides with a setting: outputs, scores of `stage` and weights.
  void ExpectMatches(
      const std::function<void(AttentionSettings&)>& of_oracle,
      const std::function<void(Config&)>& of_request,
      const std::vector<double> ReferenceResult::*stage = &ReferenceResult::raw_scores) const {
    Problem problem(kShape);
    problem.settings.scale = 3;
    of_oracle(problem.settings);
    v1::ComputeAttentionRequest request = ToRequest(problem);
    request.mutable_config()->set_scale(3);
    of_request(*request.mutable_config());
    const v1::ComputeAttentionResponse response = Compute(request);
    const ReferenceResult want = ReferenceBatch(problem);
    EXPECT_TRUE(Near(Floats(response.output(), {2, 4, 6, 5}), want.output, 1e-5));
    EXPECT_TRUE(
        Near(Floats(response.attention_weights(), {2, 4, 6, 9}), want.attention_weights, 1e-5));
    EXPECT_TRUE(Near(Floats(response.attention_scores(), {2, 4, 6, 9}), want.*stage, 1e-5));
  }
};

TEST_F(Settings, Windows) {
  for (const int64_t left : {-1, 0, 2}) {
    for (const int64_t right : {-1, 0, 1}) {
      ExpectMatches(
          [&](AttentionSettings& s) {
            s.left_window = left;
            s.right_window = right;
          },
          [&](Config& c) {
            c.set_left_window(left);
            c.set_right_window(right);
          });
    }
  }
  ExpectMatches([](AttentionSettings&) {},
                [](Config& c) { c.set_left_window(std::numeric_limits<int64_t>::max()); });
}

TEST_F(Settings, Softcap) {
  ExpectMatches([](AttentionSettings& s) { s.softcap = 0.7f; },
                [](Config& c) { c.set_softcap(0.7f); });
}

TEST_F(Settings, ScoreStages) {
  const auto set = [](AttentionSettings& s) {
    s.softcap = 0.7f;
    s.causal = true;
  };
  const auto ask = [](v1::ScoreStage stage) {
    return [stage](Config& c) {
      c.set_softcap(0.7f);
      c.set_causal(true);
      c.set_score_stage(stage);
    };
  };
  ExpectMatches(set, ask(v1::SCORE_STAGE_RAW), &ReferenceResult::raw_scores);
  ExpectMatches(set, ask(v1::SCORE_STAGE_SOFTCAPPED), &ReferenceResult::softcapped_scores);
  ExpectMatches(set, ask(v1::SCORE_STAGE_BIASED), &ReferenceResult::biased_scores);
}

TEST_F(Settings, AlibiSlopes) {
  const std::vector<float> slopes = {0.5f, 0.25f, 0, -1};
  ExpectMatches([&](AttentionSettings& s) { s.alibi_slopes = slopes; },
                [&](Config& c) { c.mutable_alibi_slopes()->Assign(slopes.begin(), slopes.end()); });
}

TEST_F(Settings, Sinks) {
  const std::vector<float> sinks = {0, 2, -kInf, -1};
  ExpectMatches([&](AttentionSettings& s) { s.sinks = sinks; },
                [&](Config& c) { c.mutable_sinks()->Assign(sinks.begin(), sinks.end()); });
}

TEST_F(Settings, WeightsAveragedOverTheHeads) {
  Problem problem(kShape);
  v1::ComputeAttentionRequest request = ToRequest(problem);
  request.mutable_config()->set_average_attention_weights(true);
  const std::vector<double> all = ReferenceBatch(problem).attention_weights;
  std::vector<double> want(2 * 6 * 9);
  for (size_t i = 0; i < all.size(); ++i) want[i / (4 * 54) * 54 + i % 54] += all[i] / 4;
  EXPECT_TRUE(Near(Floats(Compute(request).attention_weights(), {2, 6, 9}), want, 1e-6));
}

// 2^-8 is the unit of bfloat16; the largest sum is of |q k| <= 8.
TEST_F(Settings, ComputeTypeBfloat16RoundsTheFactors) {
  ProblemShape shape = kShape;
  shape.q_len = 20;  // enough rows not to be computed in place, in float32
  Problem problem(shape);
  v1::ComputeAttentionRequest request = ToRequest(problem);
  const std::vector<float> exact = Floats(Compute(request).output(), {2, 4, 20, 5});
  request.mutable_config()->set_compute_type(v1::COMPUTE_TYPE_BFLOAT16);
  const std::vector<float> rounded = Floats(Compute(request).output(), {2, 4, 20, 5});
  EXPECT_NE(rounded, exact);
  EXPECT_TRUE(Near(rounded, ReferenceBatch(problem).output, 8.0 / 256));
}

// A call in another type is the call in float32 on the rounded numbers, rounded.
TEST_F(Settings, NumberTypesAreTakenAndReturned) {
  for (const auto type : {v1::DATA_TYPE_BFLOAT16, v1::DATA_TYPE_FLOAT16, v1::DATA_TYPE_FLOAT64}) {
    SCOPED_TRACE(v1::DataType_Name(type));
    Problem problem(kShape);
    for (std::vector<float>* numbers : {&problem.query, &problem.key, &problem.value}) {
      *numbers =
          *client::FloatValues(MakeTensor({static_cast<int64_t>(numbers->size())}, *numbers, type));
    }
    v1::ComputeAttentionRequest request = ToRequest(problem);
    v1::ComputeAttentionRequest typed = ToRequest(problem, type);
    for (int result = v1::RESULT_OUTPUT; result <= v1::Result_MAX; ++result) {
      request.add_results(static_cast<v1::Result>(result));
      typed.add_results(static_cast<v1::Result>(result));
    }
    const v1::ComputeAttentionResponse want = Compute(request);
    const v1::ComputeAttentionResponse got = Compute(typed);
    const auto expect_rounded = [&](const v1::Tensor& tensor, const v1::Tensor& float32) {
      const std::vector<int64_t> shape(float32.shape().begin(), float32.shape().end());
      EXPECT_EQ(tensor.data_type(), type);
      EXPECT_EQ(tensor.data(), MakeTensor(shape, Floats(float32, shape), type).data());
    };
    expect_rounded(got.output(), want.output());
    expect_rounded(got.attention_scores(), want.attention_scores());
    expect_rounded(got.attention_weights(), want.attention_weights());
    expect_rounded(got.weighted_values(), want.weighted_values());
    expect_rounded(got.query(), want.query());
    expect_rounded(got.key(), want.key());
    expect_rounded(got.value(), want.value());
    expect_rounded(got.present_key(), want.present_key());
    expect_rounded(got.present_value(), want.present_value());
    EXPECT_EQ(got.log_sum_exp().data(), want.log_sum_exp().data());
    EXPECT_EQ(got.top_keys().attention_weights().data_type(), v1::DATA_TYPE_FLOAT32);
  }
}

// Bytes that lie askew: protobuf may put them anywhere.
TEST_F(Settings, MasksOfEveryTypeHideAndShift) {
  Problem problem(kShape);
  const std::vector<float> bias = {0, -1, 0.5f, -kInf, 0, -2, 0, 1, -kInf};
  v1::ComputeAttentionRequest request = ToRequest(problem);
  *request.mutable_config()->mutable_mask() = MakeTensor({9}, bias);
  const std::string want = Compute(request).output().data();
  for (const auto type : {v1::DATA_TYPE_BFLOAT16, v1::DATA_TYPE_FLOAT16, v1::DATA_TYPE_FLOAT64}) {
    *request.mutable_config()->mutable_mask() = MakeTensor({9}, bias, type);
    EXPECT_EQ(Compute(request).output().data(), want) << v1::DataType_Name(type);
  }
}

TEST_F(Settings, AFloat64MaskOfHugeFiniteNumbersHidesNothing) {
  v1::ComputeAttentionRequest request = ToRequest(Problem(kShape));
  v1::Tensor& mask = *request.mutable_config()->mutable_mask();
  const std::vector<double> bias(9, -1e300);
  mask.set_data_type(v1::DATA_TYPE_FLOAT64);
  mask.add_shape(9);
  mask.set_data(bias.data(), bias.size() * sizeof(double));
  for (const float weight : Floats(Compute(request).attention_weights(), {2, 4, 6, 9})) {
    EXPECT_NEAR(weight, 1.0f / 9, 1e-6);
  }
}

TEST_F(Settings, RotaryPositionsMoveBothSidesAlike) {
  Problem problem(kShape);
  v1::ComputeAttentionRequest counted = ToRequest(problem);
  v1::RotaryEmbedding& rotary = *counted.mutable_config()->mutable_rotary();
  rotary.set_pairing(v1::RotaryEmbedding::PAIRING_INTERLEAVED);
  rotary.set_base(500);
  const std::vector<float> want = Floats(Compute(counted).attention_scores(), {2, 4, 6, 9});
  for (int i = 0; i < 6; ++i) rotary.add_query_positions(1000 + i);
  for (int i = 0; i < 9; ++i) rotary.add_key_positions(1000 + i);
  const std::vector<float> moved = Floats(Compute(counted).attention_scores(), {2, 4, 6, 9});
  EXPECT_TRUE(Near(moved, {want.begin(), want.end()}, 1e-4));
  // One list a sequence: the second stands elsewhere.
  for (int i = 0; i < 6; ++i) rotary.add_query_positions(i);
  for (int i = 0; i < 9; ++i) rotary.add_key_positions(500 + i);
  const std::vector<float> apart = Floats(Compute(counted).attention_scores(), {2, 4, 6, 9});
  EXPECT_TRUE(std::equal(moved.begin(), moved.begin() + 216, apart.begin()));
  EXPECT_FALSE(std::equal(moved.begin() + 216, moved.end(), apart.begin() + 216));
}

TEST_F(Settings, RotatesPickedQueriesByTheirOwnPositions) {
  v1::ComputeAttentionRequest request = ToRequest(Problem(kShape));
  request.mutable_config()->mutable_rotary()->set_rotary_dim(6);
  request.add_results(v1::RESULT_QUERY);
  const std::vector<float> all = Floats(Compute(request).query(), {2, 4, 6, 8});
  for (const int index : {5, 2}) request.add_query_indices(index);
  const std::vector<float> picked = Floats(Compute(request).query(), {2, 4, 2, 8});
  for (int head = 0; head < 8; ++head) {
    EXPECT_TRUE(std::equal(&picked[head * 16], &picked[head * 16 + 8], &all[(head * 6 + 5) * 8]));
    EXPECT_TRUE(
        std::equal(&picked[head * 16 + 8], &picked[head * 16 + 16], &all[(head * 6 + 2) * 8]));
  }
}

// Keys in two parts, each attended to by a call of its own, then merged by a third.
TEST_F(Settings, PartialResultsMergeIntoTheWhole) {
  const Problem problem(kShape);
  v1::ComputeAttentionRequest whole = ToRequest(problem);
  whole.add_results(v1::RESULT_OUTPUT);
  whole.add_results(v1::RESULT_LOG_SUM_EXP);
  const v1::ComputeAttentionResponse want = Compute(whole);

  v1::ComputeAttentionRequest merge;
  for (const auto& [first, end] : {std::pair(0, 4), std::pair(4, 9)}) {
    v1::ComputeAttentionRequest part = whole;
    std::vector<float> seen(9, -kInf);
    std::fill(seen.begin() + first, seen.begin() + end, 0.0f);
    *part.mutable_config()->mutable_mask() = MakeTensor({9}, seen);
    const v1::ComputeAttentionResponse response = Compute(part);
    v1::PartialResult& to = *merge.mutable_partials()->add_parts();
    *to.mutable_output() = response.output();
    *to.mutable_log_sum_exp() = response.log_sum_exp();
  }
  const v1::ComputeAttentionResponse got = Compute(merge);
  const auto near = [](const v1::Tensor& tensor, const v1::Tensor& other) {
    const std::vector<int64_t> shape(other.shape().begin(), other.shape().end());
    const std::vector<float> numbers = Floats(other, shape);
    return Near(Floats(tensor, shape), {numbers.begin(), numbers.end()}, 1e-6);
  };
  EXPECT_TRUE(near(got.output(), want.output()));
  EXPECT_TRUE(near(got.log_sum_exp(), want.log_sum_exp()));

  // Rows of it, in any order and more than once.
  const std::vector<int64_t> rows = {5, 0, 5};
  for (const int64_t row : rows) merge.add_query_indices(row);
  const v1::ComputeAttentionResponse picked = Compute(merge);
  const std::vector<float> all_rows = Floats(got.output(), {2, 4, 6, 5});
  const std::vector<float> all_sums = Floats(got.log_sum_exp(), {2, 4, 6});
  std::vector<float> want_rows, want_sums;
  for (int64_t head = 0; head < 2 * 4; ++head) {
    for (const int64_t row : rows) {
      const auto at = all_rows.begin() + (head * 6 + row) * 5;
      want_rows.insert(want_rows.end(), at, at + 5);
      want_sums.push_back(all_sums[head * 6 + row]);
    }
  }
  EXPECT_EQ(Floats(picked.output(), {2, 4, 3, 5}), want_rows);
  EXPECT_EQ(Floats(picked.log_sum_exp(), {2, 4, 3}), want_sums);
}

}  // namespace
}  // namespace attention
