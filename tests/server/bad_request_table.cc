// The part of the table that is about sources and settings.
#include "tests/server/bad_request_table.h"

#include <functional>
#include <limits>

#include "client/tensor.h"

namespace attention {

using client::MakeBoolTensor;
using Request = v1::ComputeAttentionRequest;

namespace {

// Tokens [3, 4] with projections to two heads of 3.
Request Learned() {
  Request request = SimpleRequest();
  request.mutable_config()->set_num_heads(2);
  v1::ProjectionWeights& weights = *request.mutable_tokens()->mutable_projection_weights();
  *weights.mutable_q_proj() = Ones({4, 6});
  *weights.mutable_k_proj() = Ones({4, 6});
  *weights.mutable_v_proj() = Ones({4, 6});
  return request;
}

Request Projected(const v1::Tensor& query, const v1::Tensor& key, const v1::Tensor& value) {
  Request request;
  *request.mutable_projected()->mutable_query() = query;
  *request.mutable_projected()->mutable_key() = key;
  *request.mutable_projected()->mutable_value() = value;
  return request;
}

Request Weighted(const v1::Tensor& weights, const v1::Tensor& value) {
  Request request;
  *request.mutable_weighted()->mutable_attention_weights() = weights;
  *request.mutable_weighted()->mutable_value() = value;
  return request;
}

v1::ProjectionWeights& WeightsOf(Request& r) {
  return *r.mutable_tokens()->mutable_projection_weights();
}

}  // namespace

std::vector<BadRequest> BadSources() {
  const v1::Tensor x = Ones({3, 4});
  return {
      {"NoSource",
       {},
       "source",
       "is not set; want one of tokens, projected, weighted and partials"},
      {"ContextOfAnotherRank",
       With(SimpleRequest(),
            [](Request& r) {
              *r.mutable_tokens()->mutable_context() = Ones({1, 3, 4});
            }),
       "tokens.context.shape", "is [1, 3, 4]; want 2 axes"},
      {"ContextOfAnotherBatch",
       With(FromTokens(Ones({2, 3, 4})),
            [](Request& r) {
              *r.mutable_tokens()->mutable_context() = Ones({1, 3, 4});
            }),
       "tokens.context.shape", "is [1, 3, 4]; want 3 axes and the batch of tokens [2, 3, 4]"},
      {"ContextOfAnotherWidth",
       With(SimpleRequest(),
            [](Request& r) {
              *r.mutable_tokens()->mutable_context() = Ones({3, 5});
            }),
       "tokens.context.shape", "is [3, 5]; want 4 = num_kv_heads * head_dim"},
      {"TokenIdsInOneRow", FromTokens(client::MakeTensor({3}, {101, 2023, 102})),
       "tokens.tokens.shape",
       "is [3]; want [q_len, d_model] or [batch, q_len, d_model]; if these are token ids, Encode "
       "takes "
       "them"},
      {"TokenIdsAsIntegers",
       With(SimpleRequest(),
            [](Request& r) {
              r.mutable_tokens()->mutable_tokens()->set_data_type(v1::DATA_TYPE_INT32);
            }),
       "tokens.tokens.data_type",
       "is DATA_TYPE_INT32; want DATA_TYPE_FLOAT32, BFLOAT16, FLOAT16 or FLOAT64; if these are "
       "token "
       "ids, Encode takes them"},
      {"TokenIdsInTheContext",
       With(SimpleRequest(),
            [](Request& r) {
              *r.mutable_tokens()->mutable_context() = client::MakeTensor({2}, {101, 102});
            }),
       "tokens.context.shape", "; if these are token ids, Encode takes them"},
      {"TokenIdsWhereWeightsWantAnotherWidth",
       With(Learned(),
            [](Request& r) {
              *r.mutable_tokens()->mutable_tokens() = client::MakeTensor({1, 3}, {101, 2023, 102});
            }),
       "tokens.projection_weights.q_proj.shape",
       "is [4, 6]; want [3, out] with 3 = d_model, the width of tokens; if these are token ids, "
       "Encode "
       "takes them"},
      {"NoQProj", With(Learned(), [](Request& r) { WeightsOf(r).clear_q_proj(); }),
       "tokens.projection_weights.q_proj", "is not set; want a float tensor"},
      {"QProjOfWrongHeight",
       With(Learned(),
            [](Request& r) {
              *WeightsOf(r).mutable_q_proj() = Ones({5, 6});
            }),
       "tokens.projection_weights.q_proj.shape", "is [5, 6]; want [4, out] with 4 = d_model"},
      {"QProjNotMultipleOfHeads",
       With(Learned(),
            [](Request& r) {
              *WeightsOf(r).mutable_q_proj() = Ones({4, 7});
            }),
       "tokens.projection_weights.q_proj.shape", "7 wide; want a multiple of num_heads = 2"},
      {"KProjOfWrongWidth",
       With(Learned(),
            [](Request& r) {
              *WeightsOf(r).mutable_k_proj() = Ones({4, 8});
            }),
       "tokens.projection_weights.k_proj.shape",
       "is [4, 8]; want [4, 6] = [d_context, num_kv_heads * head_dim]"},
      {"VProjNotMultipleOfHeads",
       With(Learned(),
            [](Request& r) {
              *WeightsOf(r).mutable_v_proj() = Ones({4, 5});
            }),
       "tokens.projection_weights.v_proj.shape", "5 wide; want a multiple of num_kv_heads = 2"},
      {"VProjOfThreeAxes",
       With(Learned(),
            [](Request& r) {
              *WeightsOf(r).mutable_v_proj() = Ones({4, 3, 2});
            }),
       "tokens.projection_weights.v_proj.shape", "is [4, 3, 2]; want [4, out]"},
      {"OProjOfWrongHeight",
       With(Learned(),
            [](Request& r) {
              *WeightsOf(r).mutable_o_proj() = Ones({5, 4});
            }),
       "tokens.projection_weights.o_proj.shape",
       "is [5, 4]; want [6, out] with 6 = num_heads * v_head_dim"},
      {"QBiasOfWrongWidth",
       With(Learned(), [](Request& r) { *WeightsOf(r).mutable_q_bias() = Ones({5}); }),
       "tokens.projection_weights.q_bias.shape", "is [5]; want [6] = the width of q_proj"},
      {"OBiasWithoutOProj",
       With(Learned(), [](Request& r) { *WeightsOf(r).mutable_o_bias() = Ones({4}); }),
       "tokens.projection_weights.o_bias", "is set without o_proj"},
      {"ProjectedRanksDiffer", Projected(x, Ones({1, 3, 4}), x), "projected.key.shape",
       "has axes: 3; want 2, as projected.query"},
      {"ProjectedHeadDimsDiffer", Projected(x, Ones({3, 5}), x), "projected.key.shape",
       "has head_dim 5; want 4, as projected.query"},
      {"ProjectedLengthsDiffer", Projected(x, x, Ones({2, 4})), "projected.value.shape",
       "has kv_len 2; want 3, as projected.key"},
      {"ProjectedBatchesDiffer", Projected(Ones({2, 3, 4}), Ones({1, 3, 4}), Ones({1, 3, 4})),
       "projected.key.shape", "has batch 1; want 2"},
      {"ProjectedOneAxis", Projected(Ones({4}), Ones({4}), Ones({4})), "projected.query.shape",
       "is [4]; want [len, heads * dim]"},
      {"HeadsOfShapeAndSettingDiffer",
       With(Projected(Ones({1, 2, 3, 4}), Ones({1, 2, 3, 4}), Ones({1, 2, 3, 4})),
            [](Request& r) { r.mutable_config()->set_num_heads(4); }),
       "projected.query.shape", "is [1, 2, 3, 4]; want num_heads = 4 on axis 1"},
      {"NoValue",
       With(Projected(x, x, x), [](Request& r) { r.mutable_projected()->clear_value(); }),
       "projected.value", "is not set"},
      {"WeightedThreeAxes", Weighted(Ones({1, 3, 3}), x), "weighted.attention_weights.shape",
       "is [1, 3, 3]; want [q_len, kv_len] or [batch, num_heads, q_len, kv_len]"},
      {"WeightedLengthsDiffer", Weighted(Ones({3, 2}), x), "weighted.value.shape",
       "has kv_len 3; want 2, as weighted.attention_weights"},
      {"WeightedWithScale",
       With(Weighted(Ones({3, 3}), x), [](Request& r) { r.mutable_config()->set_scale(2); }),
       "config.scale", "is set; want it unset"},
      {"WeightedWithScores",
       With(Weighted(Ones({3, 3}), x),
            [](Request& r) { r.add_results(v1::RESULT_ATTENTION_SCORES); }),
       "results[0]", "is RESULT_ATTENTION_SCORES; want a result that `weighted` can give"},
  };
}

std::vector<BadRequest> BadSettings() {
  const auto config = [](const std::function<void(v1::AttentionConfig&)>& change) {
    return With(SimpleRequest(), [&](Request& r) { change(*r.mutable_config()); });
  };
  const auto mask = [&](const v1::Tensor& tensor) {
    return config([&](auto& c) { *c.mutable_mask() = tensor; });
  };
  v1::Tensor twos = MakeBoolTensor({3}, {true, true, true});
  (*twos.mutable_data())[1] = 2;
  v1::Tensor halves = Shaped({3});
  halves.set_data_type(v1::DATA_TYPE_BOOL);
  for (int i = 0; i < 3; ++i) halves.add_float_values(0.5f);
  constexpr char kBroadcast[] = "want it to broadcast to [1, 1, 3, 3]";
  return {
      {"NegativeHeads", config([](auto& c) { c.set_num_heads(-1); }), "config.num_heads",
       "is -1; want at least 1"},
      {"HeadsThatDoNotDivide", config([](auto& c) { c.set_num_heads(3); }), "tokens.tokens.shape",
       "is [3, 4], 4 wide; want a multiple of num_heads = 3"},
      {"NegativeKvHeads", config([](auto& c) { c.set_num_kv_heads(-2); }), "config.num_kv_heads",
       "is -2; want at least 1"},
      {"KvHeadsThatDoNotDivide", config([](auto& c) {
         c.set_num_heads(4);
         c.set_num_kv_heads(3);
       }),
       "config.num_kv_heads", "is 3; want a divisor of num_heads = 4"},
      {"KvHeadsWithoutTheirWidth", config([](auto& c) {
         c.set_num_heads(4);
         c.set_num_kv_heads(2);
       }),
       "tokens.tokens.shape", "is [3, 4]; want 2 = num_kv_heads * head_dim"},
      {"HeadDimAgainstTheShapes", config([](auto& c) { c.set_head_dim(5); }), "config.head_dim",
       "is 5; want 4, as the shapes say"},
      {"NegativeHeadDim", config([](auto& c) { c.set_head_dim(-1); }), "config.head_dim",
       "is -1; want at least 1"},
      {"InfiniteScale",
       config([](auto& c) { c.set_scale(std::numeric_limits<float>::infinity()); }), "config.scale",
       "is inf; want a finite number"},
      {"NanScale", config([](auto& c) { c.set_scale(std::numeric_limits<float>::quiet_NaN()); }),
       "config.scale", "nan; want a finite number"},
      {"UnknownNormalization", config([](auto& c) { c.set_normalization(v1::Normalization(9)); }),
       "config.normalization", "is unknown: 9; want NORMALIZATION_SOFTMAX or NORMALIZATION_SUM"},
      {"MaskTooLong", mask(Ones({4})), "config.mask.shape", kBroadcast},
      {"MaskOfWrongHeight", mask(Ones({2, 3})), "config.mask.shape", kBroadcast},
      {"MaskOfTooManyHeads", mask(Ones({2, 3, 3})), "config.mask.shape", kBroadcast},
      {"MaskWithoutElements", mask(Shaped({3})), "config.mask.data", "has 0 bytes; want 3"},
      {"BoolMaskWithTwos", mask(twos), "config.mask", "has elements other than 0 and 1"},
      {"BoolMaskWithHalves", mask(halves), "config.mask", "has elements other than 0 and 1"},
      {"UnknownResult", With(SimpleRequest(), [](Request& r) { r.add_results(v1::Result(99)); }),
       "results[0]", "is 99; want a value of Result"},
      {"TooManyResults",
       With(SimpleRequest(),
            [](Request& r) { r.mutable_results()->Resize(65, v1::RESULT_OUTPUT); }),
       "results", "has 65 elements; want at most 64"},
      {"UnspecifiedResult",
       With(SimpleRequest(),
            [](Request& r) {
              r.add_results(v1::RESULT_OUTPUT);
              r.add_results(v1::RESULT_UNSPECIFIED);
            }),
       "results[1]", "is 0; want a value of Result"},
      {"LogSumExpOfSums",
       With(config([](auto& c) { c.set_normalization(v1::NORMALIZATION_SUM); }),
            [](Request& r) { r.add_results(v1::RESULT_LOG_SUM_EXP); }),
       "results[0]", "want NORMALIZATION_SOFTMAX"},
      {"QueryIndexTooHigh", With(SimpleRequest(), [](Request& r) { r.add_query_indices(3); }),
       "query_indices[0]", "is 3; want 0 to 2 = q_len - 1"},
      {"QueryIndexNegative",
       With(SimpleRequest(),
            [](Request& r) {
              r.add_query_indices(0);
              r.add_query_indices(-1);
            }),
       "query_indices[1]", "is -1; want 0 to 2"},
      {"TopKTooHigh", With(SimpleRequest(), [](Request& r) { r.set_top_k(4); }), "top_k",
       "is 4; want 1 to 3 = kv_len"},
      {"TopKNegative", With(SimpleRequest(), [](Request& r) { r.set_top_k(-1); }), "top_k",
       "is -1; want 1 to 3"},
      {"RequestIdTooLong",
       With(SimpleRequest(), [](Request& r) { r.set_request_id(std::string(257, 'x')); }),
       "request_id", "has 257 bytes; want at most 256"},
      {"ResultsTooLarge", FromTokens(Ones({3000, 1})), "results",
       "would take 72012000 bytes; this server sends at most 67108864 (--max_message_mib)"},
      {"WeightedValuesTooLarge",
       With(FromTokens(Ones({200, 2000})),
            [](Request& r) { r.add_results(v1::RESULT_WEIGHTED_VALUES); }),
       "results", "would take 320000000 bytes"},
      {"TooManyTokens",
       With(FromTokens(Ones({131073, 1})), [](Request& r) { r.add_results(v1::RESULT_OUTPUT); }),
       "source", "holds 1 sequences of 131073 tokens; this server takes at most 131072"},
  };
}

}  // namespace attention
