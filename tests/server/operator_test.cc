// The operator through the API: layouts, heads, masks and results against the oracle.
#include <gtest/gtest.h>

#include "attention/v1/attention_service.pb.h"
#include "tests/kernels/problem.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeBoolTensor;
using client::MakeTensor;

class Operator : public RunningServer {
 protected:
  static std::vector<float> Pick(const std::vector<double>& from) {
    return {from.begin(), from.end()};
  }

  // [batch, heads, len, dim] -> [batch, len, heads * dim].
  static std::vector<float> TokenMajor(const std::vector<float>& from, int64_t batch, int64_t heads,
                                       int64_t len, int64_t dim) {
    std::vector<float> to;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t i = 0; i < len; ++i) {
        for (int64_t h = 0; h < heads; ++h) {
          const auto row = from.begin() + ((b * heads + h) * len + i) * dim;
          to.insert(to.end(), row, row + dim);
        }
      }
    }
    return to;
  }

  const ProblemShape s_ = {.batch = 2,
                           .q_len = 5,
                           .kv_len = 7,
                           .num_heads = 4,
                           .num_kv_heads = 2,
                           .head_dim = 3,
                           .v_head_dim = 6};
};

v1::ComputeAttentionRequest Rank4(const Problem& problem) {
  const ProblemShape& s = problem.shape;
  v1::ComputeAttentionRequest request;
  v1::ProjectedSource& source = *request.mutable_projected();
  *source.mutable_query() = MakeTensor({s.batch, s.num_heads, s.q_len, s.head_dim}, problem.query);
  *source.mutable_key() = MakeTensor({s.batch, s.num_kv_heads, s.kv_len, s.head_dim}, problem.key);
  *source.mutable_value() =
      MakeTensor({s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim}, problem.value);
  return request;
}

void AskForAll(v1::ComputeAttentionRequest& request) {
  for (int result = v1::RESULT_OUTPUT; result <= v1::Result_MAX; ++result) {
    request.add_results(static_cast<v1::Result>(result));
  }
}

TEST_F(Operator, EveryResultOfFourAxesMatchesTheOracle) {
  Problem problem(s_);
  v1::ComputeAttentionRequest request = Rank4(problem);
  AskForAll(request);
  request.set_top_k(3);
  request.set_request_id("all");
  const v1::ComputeAttentionResponse response = Compute(request);
  const ReferenceResult want = ReferenceBatch(problem);
  EXPECT_EQ(response.request_id(), "all");
  EXPECT_TRUE(Near(Floats(response.output(), {2, 4, 5, 6}), want.output, 1e-5));
  EXPECT_TRUE(Near(Floats(response.attention_scores(), {2, 4, 5, 7}), want.raw_scores, 1e-5));
  EXPECT_TRUE(
      Near(Floats(response.attention_weights(), {2, 4, 5, 7}), want.attention_weights, 1e-5));
  EXPECT_TRUE(
      Near(Floats(response.weighted_values(), {2, 4, 7, 5, 6}), want.weighted_values, 1e-5));
  EXPECT_TRUE(Near(Floats(response.log_sum_exp(), {2, 4, 5}), want.log_sum_exp, 1e-5));
  EXPECT_EQ(Floats(response.query(), {2, 4, 5, 3}), problem.query);
  EXPECT_EQ(Floats(response.key(), {2, 2, 7, 3}), problem.key);
  EXPECT_EQ(Floats(response.value(), {2, 2, 7, 6}), problem.value);

  const std::vector<float> weights = Floats(response.attention_weights(), {2, 4, 5, 7});
  const std::vector<float> top = Floats(response.top_keys().attention_weights(), {2, 4, 5, 3});
  const auto indices = client::Int32Values(response.top_keys().indices());
  ASSERT_TRUE(indices.ok());
  for (size_t row = 0; row < 40; ++row) {
    const float largest = *std::max_element(&weights[row * 7], &weights[row * 7] + 7);
    EXPECT_EQ(top[row * 3], largest);
    EXPECT_EQ(weights[row * 7 + (*indices)[row * 3]], largest);
  }
}

TEST_F(Operator, ThreeAxesAndFourGiveTheSameBits) {
  Problem problem(s_);
  const std::vector<float> rank4 = Floats(Compute(Rank4(problem)).output(), {2, 4, 5, 6});
  v1::ComputeAttentionRequest request;
  v1::ProjectedSource& source = *request.mutable_projected();
  *source.mutable_query() = MakeTensor({2, 5, 12}, TokenMajor(problem.query, 2, 4, 5, 3));
  *source.mutable_key() = MakeTensor({2, 7, 6}, TokenMajor(problem.key, 2, 2, 7, 3));
  *source.mutable_value() = MakeTensor({2, 7, 12}, TokenMajor(problem.value, 2, 2, 7, 6));
  request.mutable_config()->set_num_heads(4);
  request.mutable_config()->set_num_kv_heads(2);
  EXPECT_EQ(Floats(Compute(request).output(), {2, 5, 24}), TokenMajor(rank4, 2, 4, 5, 6));
}

TEST_F(Operator, QueryIndicesGiveRowsOfTheWholeCallAndKeepTheirPositions) {
  Problem problem(s_);
  v1::ComputeAttentionRequest request = Rank4(problem);
  request.mutable_config()->set_causal(true);
  const std::vector<float> all = Floats(Compute(request).attention_weights(), {2, 4, 5, 7});
  for (const int index : {4, 0, 4}) request.add_query_indices(index);
  const std::vector<float> some = Floats(Compute(request).attention_weights(), {2, 4, 3, 7});
  for (int head = 0; head < 8; ++head) {
    for (int j = 0; j < 7; ++j) {
      EXPECT_NEAR(some[(head * 3 + 0) * 7 + j], all[(head * 5 + 4) * 7 + j], 1e-6);
      EXPECT_NEAR(some[(head * 3 + 1) * 7 + j], all[(head * 5 + 0) * 7 + j], 1e-6);
      EXPECT_NEAR(some[(head * 3 + 2) * 7 + j], all[(head * 5 + 4) * 7 + j], 1e-6);
    }
  }
}

TEST_F(Operator, MasksOfEveryRankBroadcastFromTheRight) {
  Problem problem(s_);
  const std::vector<std::vector<int64_t>> shapes = {
      {7}, {5, 7}, {1, 7}, {4, 5, 7}, {1, 5, 7}, {2, 4, 5, 7}, {2, 1, 5, 7}, {1, 1, 1, 7}, {3}};
  for (const std::vector<int64_t>& shape : shapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    int64_t count = 1;
    std::vector<int64_t> full(4 - shape.size(), 1);
    full.insert(full.end(), shape.begin(), shape.end());
    for (const int64_t length : shape) count *= length;
    const std::vector<float> mask = RandomFloats(count, 9);
    MaskView view = {.bias = mask.data(), .key_count = full[3]};
    if (full[2] > 1) view.row_stride = full[3];
    if (full[1] > 1) view.head_stride = full[2] * full[3];
    problem.sequences[0].mask = problem.sequences[1].mask = view;
    if (full[0] > 1) problem.sequences[1].mask.bias += full[1] * full[2] * full[3];
    v1::ComputeAttentionRequest request = Rank4(problem);
    *request.mutable_config()->mutable_mask() = MakeTensor(shape, mask);
    EXPECT_TRUE(Near(Floats(Compute(request).output(), {2, 4, 5, 6}),
                     ReferenceBatch(problem).output, 1e-5));
  }
}

TEST_F(Operator, ABoolMaskHidesAsMinusInfinityDoes) {
  Problem problem(s_);
  v1::ComputeAttentionRequest request = Rank4(problem);
  *request.mutable_config()->mutable_mask() =
      MakeBoolTensor({7}, {true, false, true, true, false, true, true});
  const std::vector<float> hidden = Floats(Compute(request).output(), {2, 4, 5, 6});
  *request.mutable_config()->mutable_mask() = MakeTensor({7}, {0, -kInf, 0, 0, -kInf, 0, 0});
  EXPECT_EQ(Floats(Compute(request).output(), {2, 4, 5, 6}), hidden);
}

TEST_F(Operator, LearnedProjectionsWithBiasesContextAndOutputMatchTheOracle) {
  const int64_t batch = 2, q_len = 5, kv_len = 9, d_model = 8, d_context = 6, d_out = 10;
  const int64_t heads = 4, kv_heads = 2, dim = 3, v_dim = 5;
  const auto x = RandomFloats(batch * q_len * d_model, 1);
  const auto context = RandomFloats(batch * kv_len * d_context, 2);
  const auto wq = RandomFloats(d_model * heads * dim, 3), bq = RandomFloats(heads * dim, 4);
  const auto wk = RandomFloats(d_context * kv_heads * dim, 5), bk = RandomFloats(kv_heads * dim, 6);
  const auto wv = RandomFloats(d_context * kv_heads * v_dim, 7);
  const auto bv = RandomFloats(kv_heads * v_dim, 8);
  const auto wo = RandomFloats(heads * v_dim * d_out, 9), bo = RandomFloats(d_out, 10);
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = MakeTensor({batch, q_len, d_model}, x);
  *request.mutable_tokens()->mutable_context() = MakeTensor({batch, kv_len, d_context}, context);
  v1::ProjectionWeights& w = *request.mutable_tokens()->mutable_projection_weights();
  *w.mutable_q_proj() = MakeTensor({d_model, heads * dim}, wq);
  *w.mutable_k_proj() = MakeTensor({d_context, kv_heads * dim}, wk);
  *w.mutable_v_proj() = MakeTensor({d_context, kv_heads * v_dim}, wv);
  *w.mutable_o_proj() = MakeTensor({heads * v_dim, d_out}, wo);
  *w.mutable_q_bias() = MakeTensor({heads * dim}, bq);
  *w.mutable_k_bias() = MakeTensor({kv_heads * dim}, bk);
  *w.mutable_v_bias() = MakeTensor({kv_heads * v_dim}, bv);
  *w.mutable_o_bias() = MakeTensor({d_out}, bo);
  request.mutable_config()->set_num_heads(heads);
  request.mutable_config()->set_num_kv_heads(kv_heads);

  const auto linear = [&](const auto& in, int64_t rows, const auto& weight, const auto& bias,
                          int64_t width, int64_t out) {
    return Pick(ReferenceLinear({in.data(), DataType::kFloat32, width, batch * rows, width},
                                {.data = weight.data(), .in = width, .out = out}, bias.data()));
  };
  const auto q = linear(x, q_len, wq, bq, d_model, heads * dim);
  const auto k = linear(context, kv_len, wk, bk, d_context, kv_heads * dim);
  const auto v = linear(context, kv_len, wv, bv, d_context, kv_heads * v_dim);
  Problem problem({.batch = batch,
                   .q_len = q_len,
                   .kv_len = kv_len,
                   .num_heads = heads,
                   .num_kv_heads = kv_heads,
                   .head_dim = dim,
                   .v_head_dim = v_dim});
  const auto bytes = [](const std::vector<float>& numbers, int64_t first) {
    return reinterpret_cast<const std::byte*>(numbers.data() + first);
  };
  for (int64_t b = 0; b < batch; ++b) {
    AttentionSequence& s = problem.sequences[b];
    s.query = TokenMajorView(bytes(q, b * q_len * heads * dim), DataType::kFloat32, heads, dim);
    s.key.current =
        TokenMajorView(bytes(k, b * kv_len * kv_heads * dim), DataType::kFloat32, kv_heads, dim);
    s.value.current = TokenMajorView(bytes(v, b * kv_len * kv_heads * v_dim), DataType::kFloat32,
                                     kv_heads, v_dim);
  }
  const auto heads_output =
      TokenMajor(Pick(ReferenceBatch(problem).output), batch, heads, q_len, v_dim);
  const std::vector<double> want = ReferenceLinear(
      {heads_output.data(), DataType::kFloat32, heads * v_dim, batch * q_len, heads * v_dim},
      {.data = wo.data(), .in = heads * v_dim, .out = d_out}, bo.data());
  EXPECT_TRUE(
      Near(Floats(Compute(request).output(), {batch, q_len, d_out}), want, OutputTolerance(want)));

  request.add_results(v1::RESULT_KEY);  // and without the output nothing else is computed
  EXPECT_FALSE(Compute(request).has_output());
}

TEST_F(Operator, NumbersTypedByHandGiveTheSameBitsAsBytes) {
  v1::ComputeAttentionRequest bytes, typed;
  *bytes.mutable_tokens()->mutable_tokens() = MakeTensor({2, 2}, {0.1f, 0.2f, 0.3f, 0.4f});
  v1::Tensor& tokens = *typed.mutable_tokens()->mutable_tokens();
  for (const int length : {2, 2}) tokens.add_shape(length);
  for (const float x : {0.1f, 0.2f, 0.3f, 0.4f}) tokens.add_float_values(x);
  v1::Tensor& mask = *typed.mutable_config()->mutable_mask();
  mask.set_data_type(v1::DATA_TYPE_BOOL);
  mask.add_shape(2);
  for (const float x : {1.0f, 0.0f}) mask.add_float_values(x);
  *bytes.mutable_config()->mutable_mask() = MakeBoolTensor({2}, {true, false});
  typed.set_result_format(v1::RESULT_FORMAT_BYTES);
  EXPECT_EQ(Compute(bytes).output().data(), Compute(typed).output().data());
}

TEST_F(Operator, WeightedCombinesByGroupsAndPicksRows) {
  v1::ComputeAttentionRequest request;
  *request.mutable_weighted()->mutable_attention_weights() = MakeTensor({1, 2, 2, 1}, {1, 2, 3, 4});
  *request.mutable_weighted()->mutable_value() = MakeTensor({1, 1, 1, 2}, {10, 100});
  request.mutable_config()->set_num_kv_heads(1);
  EXPECT_EQ(Floats(Compute(request).output(), {1, 2, 2, 2}),
            (std::vector<float>{10, 100, 20, 200, 30, 300, 40, 400}));
  request.add_query_indices(1);
  EXPECT_EQ(Floats(Compute(request).output(), {1, 2, 1, 2}),
            (std::vector<float>{20, 200, 40, 400}));
}

}  // namespace
}  // namespace attention
