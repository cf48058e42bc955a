// The part of the table that is about lengths, pasts, partial results and the operator's settings.
#include <functional>
#include <limits>

#include "tests/server/bad_request_table.h"

namespace attention {
namespace {

using Request = v1::ComputeAttentionRequest;
using Config = v1::AttentionConfig;

// Three queries and three keys of two heads of four.
Request Projected() {
  Request request;
  *request.mutable_projected()->mutable_query() = Ones({1, 2, 3, 4});
  *request.mutable_projected()->mutable_key() = Ones({1, 2, 3, 4});
  *request.mutable_projected()->mutable_value() = Ones({1, 2, 3, 4});
  return request;
}

// The same with two keys of an earlier call.
Request WithPast() {
  Request request = Projected();
  *request.mutable_projected()->mutable_past_key() = Ones({1, 2, 2, 4});
  *request.mutable_projected()->mutable_past_value() = Ones({1, 2, 2, 4});
  return request;
}

// Six tokens of two sequences.
Request Ragged(const std::vector<int64_t>& q_lens, const std::vector<int64_t>& kv_lens) {
  Request request = FromTokens(Ones({6, 4}));
  request.mutable_tokens()->mutable_q_lens()->Assign(q_lens.begin(), q_lens.end());
  request.mutable_tokens()->mutable_kv_lens()->Assign(kv_lens.begin(), kv_lens.end());
  return request;
}

Request Partials() {
  Request request;
  for (int i = 0; i < 2; ++i) {
    v1::PartialResult& part = *request.mutable_partials()->add_parts();
    *part.mutable_output() = Ones({1, 2, 3, 4});
    *part.mutable_log_sum_exp() = Ones({1, 2, 3});
  }
  return request;
}

Request Configured(const std::function<void(Config&)>& change) {
  return With(Projected(), [&](Request& r) { change(*r.mutable_config()); });
}

}  // namespace

std::vector<BadRequest> BadLengths() {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const auto past = [](const std::function<void(v1::ProjectedSource&)>& change) {
    return With(WithPast(), [&](Request& r) { change(*r.mutable_projected()); });
  };
  const auto key_lengths = [](const std::vector<int64_t>& lens) {
    return With(Projected(), [&](Request& r) {
      r.mutable_projected()->mutable_kv_lens()->Assign(lens.begin(), lens.end());
    });
  };
  return {
      {"PastKeyAlone", past([](auto& p) { p.clear_past_value(); }), "projected.past_value",
       "is not set; want past_key and past_value, or neither"},
      {"PastValueAlone", past([](auto& p) { p.clear_past_key(); }), "projected.past_key",
       "is not set; want past_key"},
      {"PastOfOtherHeads", past([](auto& p) {
         *p.mutable_past_key() = Ones({1, 1, 2, 4});
       }),
       "projected.past_key.shape",
       "is [1, 1, 2, 4]; want [1, 2, past_len, 4] = [batch, num_kv_heads, past_len, head_dim]"},
      {"PastOfThreeAxes", past([](auto& p) {
         *p.mutable_past_key() = Ones({1, 2, 8});
       }),
       "projected.past_key.shape", "is [1, 2, 8]; want [1, 2, past_len, 4]"},
      {"PastLengthsDiffer", past([](auto& p) {
         *p.mutable_past_value() = Ones({1, 2, 3, 4});
       }),
       "projected.past_value.shape", "has past_len 3; want 2, as projected.past_key"},
      {"PastOfBools",
       past([](auto& p) { p.mutable_past_key()->set_data_type(v1::DATA_TYPE_BOOL); }),
       "projected.past_key.data_type", "is DATA_TYPE_BOOL; want DATA_TYPE_FLOAT32"},
      {"TooManyKeyLengths", key_lengths({3, 3}), "projected.kv_lens",
       "has 2 elements; want 1, one a sequence"},
      {"KeyLengthBeyondTheKeys", key_lengths({4}), "projected.kv_lens[0]",
       "is 4; want 0 to 3 = kv_len"},
      {"NegativeKeyLength", key_lengths({-1}), "projected.kv_lens[0]", "is -1; want 0 to 3"},
      {"RaggedLensTooFew", Ragged({2, 3}, {}), "tokens.q_lens",
       "adds up to 5; want 6, the rows of the queries"},
      {"RaggedLensTooMany", Ragged({4, 3}, {}), "tokens.q_lens", "adds up to more than 6; want 6"},
      {"RaggedLenNegative", Ragged({7, -1}, {}), "tokens.q_lens[0]", "is 7; want 0 to 6"},
      {"RaggedLensThatOverflow", Ragged({kHuge, kHuge}, {}), "tokens.q_lens[0]", "want 0 to 6"},
      {"RaggedKeyLensOfOtherCount", Ragged({2, 4}, {6}), "tokens.kv_lens",
       "has 1 elements; want 2, as many as q_lens"},
      {"RaggedKeyLensTooFew", Ragged({2, 4}, {2, 3}), "tokens.kv_lens",
       "adds up to 5; want 6, the rows of the keys"},
      {"RaggedOfThreeAxes",
       With(FromTokens(Ones({1, 6, 4})), [](Request& r) { r.mutable_tokens()->add_q_lens(6); }),
       "tokens.q_lens", "is set; want tensors [sum of lens, heads * dim] with it, not of 3 axes"},
      {"RaggedWithAPast",
       With(WithPast(), [](Request& r) { r.mutable_projected()->add_q_lens(3); }),
       "projected.q_lens", "is set; want"},
      {"RaggedWithQueryIndices",
       With(Ragged({2, 4}, {}), [](Request& r) { r.add_query_indices(0); }), "query_indices",
       "is set; want it unset, since q_lens is set"},
      {"TopKBeyondTheShortestSequence",
       With(Ragged({2, 4}, {}), [](Request& r) { r.set_top_k(3); }), "top_k",
       "is 3; want 1 to 2 = kv_len of the shortest sequence"},
      {"TopKeysOfASequenceWithoutKeys",
       With(Ragged({2, 4}, {6, 0}), [](Request& r) { r.add_results(v1::RESULT_TOP_KEYS); }),
       "results", "has RESULT_TOP_KEYS; want it left out, since sequence 1 has no keys"},
      {"TopKOfASequenceWithoutKeys",
       With(Ragged({2, 4}, {6, 0}), [](Request& r) { r.set_top_k(1); }), "top_k",
       "is 1; want it unset, since sequence 1 has no keys"},
      {"RaggedWithTooManySequences", Ragged(std::vector<int64_t>(131073, 0), {}), "source",
       "holds 131073 sequences; this server takes at most 131072"},
      {"NoParts", With({}, [](Request& r) { r.mutable_partials(); }), "partials.parts",
       "has 0 elements; want 1 to 64"},
      {"TooManyParts",
       With(Partials(),
            [](Request& r) {
              for (int i = 0; i < 64; ++i) {
                *r.mutable_partials()->add_parts() = r.partials().parts(0);
              }
            }),
       "partials.parts", "has 66 elements; want 1 to 64"},
      {"PartsOfOtherShapes",
       With(Partials(),
            [](Request& r) {
              *r.mutable_partials()->mutable_parts(1)->mutable_output() = Ones({1, 2, 4, 4});
            }),
       "partials.parts[1].output.shape", "is [1, 2, 4, 4]; want [1, 2, 3, 4]"},
      {"PartWithoutLogSumExp",
       With(Partials(),
            [](Request& r) { r.mutable_partials()->mutable_parts(1)->clear_log_sum_exp(); }),
       "partials.parts[1].log_sum_exp", "is not set"},
      {"PartWithLogSumExpOfOtherShape",
       With(Partials(),
            [](Request& r) {
              *r.mutable_partials()->mutable_parts(0)->mutable_log_sum_exp() = Ones({3, 2});
            }),
       "partials.parts[0].log_sum_exp.shape",
       "is [3, 2]; want [1, 2, 3] = [batch, num_heads, q_len]"},
      {"PartialsWithWeights",
       With(Partials(), [](Request& r) { r.add_results(v1::RESULT_ATTENTION_WEIGHTS); }),
       "results[0]", "is RESULT_ATTENTION_WEIGHTS; want a result that `partials` can give"},
      {"PartialsWithAMask",
       With(Partials(), [](Request& r) { *r.mutable_config()->mutable_mask() = Ones({3}); }),
       "config.mask", "is set; want it unset, since `partials` uses what it is given"},
  };
}

std::vector<BadRequest> BadOperatorSettings() {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto rotary = [](const std::function<void(v1::RotaryEmbedding&)>& change) {
    return Configured([&](Config& c) { change(*c.mutable_rotary()); });
  };
  return {
      {"UnknownAlignment",
       Configured([](Config& c) { c.set_causal_alignment(v1::CausalAlignment(7)); }),
       "config.causal_alignment", "is unknown: 7; want CAUSAL_ALIGNMENT_TOP_LEFT"},
      {"UnknownScoreStage", Configured([](Config& c) { c.set_score_stage(v1::ScoreStage(7)); }),
       "config.score_stage", "is unknown: 7; want SCORE_STAGE_RAW"},
      {"UnknownComputeType", Configured([](Config& c) { c.set_compute_type(v1::ComputeType(-1)); }),
       "config.compute_type", "is unknown: -1; want COMPUTE_TYPE_FLOAT32"},
      {"WindowBelowMinusOne", Configured([](Config& c) { c.set_left_window(-2); }),
       "config.left_window", "is -2; want at least 0, or -1"},
      {"RightWindowBelowMinusOne",
       Configured([](Config& c) { c.set_right_window(std::numeric_limits<int64_t>::min()); }),
       "config.right_window", "want at least 0, or -1"},
      {"NegativeSoftcap", Configured([](Config& c) { c.set_softcap(-1); }), "config.softcap",
       "is -1; want a number above 0, or 0"},
      {"NanSoftcap", Configured([](Config& c) { c.set_softcap(kNan); }), "config.softcap",
       "nan; want a number above 0"},
      {"OneAlibiSlopeForTwoHeads", Configured([](Config& c) { c.add_alibi_slopes(1); }),
       "config.alibi_slopes", "has 1 elements; want 2 = num_heads, or none"},
      {"InfiniteAlibiSlope", Configured([](Config& c) {
         c.add_alibi_slopes(1);
         c.add_alibi_slopes(kInf);
       }),
       "config.alibi_slopes[1]", "is inf; want a finite number"},
      {"NanSink", Configured([](Config& c) {
         c.add_sinks(kNan);
         c.add_sinks(0);
       }),
       "config.sinks[0]", "nan; want a finite number or -inf"},
      {"SinksOfSums", Configured([](Config& c) {
         c.add_sinks(0);
         c.add_sinks(0);
         c.set_normalization(v1::NORMALIZATION_SUM);
       }),
       "config.sinks", "is set; want NORMALIZATION_SOFTMAX with it"},
      {"UnknownPairing", rotary([](auto& r) { r.set_pairing(v1::RotaryEmbedding::Pairing(5)); }),
       "config.rotary.pairing", "is unknown: 5; want PAIRING_SPLIT_HALF"},
      {"OddRotaryDim", rotary([](auto& r) { r.set_rotary_dim(3); }), "config.rotary.rotary_dim",
       "is 3; want an even number from 2 to 4 = head_dim"},
      {"RotaryDimBeyondTheHead", rotary([](auto& r) { r.set_rotary_dim(6); }),
       "config.rotary.rotary_dim", "is 6; want an even number from 2 to 4"},
      {"NegativeRotaryDim", rotary([](auto& r) { r.set_rotary_dim(-2); }),
       "config.rotary.rotary_dim", "is -2; want an even number"},
      {"RotaryOfAnOddHead",
       With(SimpleRequest(),
            [](Request& r) {
              *r.mutable_tokens()->mutable_tokens() = Ones({2, 3});
              r.mutable_config()->mutable_rotary();
            }),
       "config.rotary.rotary_dim", "is 0, all; want an even number from 2 to 3 = head_dim"},
      {"RotaryOfHeadsOfOneNumber",
       With(SimpleRequest(),
            [](Request& r) {
              *r.mutable_tokens()->mutable_tokens() = Ones({2, 1});
              r.mutable_config()->mutable_rotary();
            }),
       "config.rotary",
       "is set; want it unset, since it rotates pairs of numbers and head_dim is 1"},
      {"RotaryBaseBelowOne", rotary([](auto& r) { r.set_base(0.5); }), "config.rotary.base",
       "is 0.5; want at least 1, or 0 for 10000"},
      {"RotaryPositionsOfQueriesAlone", rotary([](auto& r) { r.add_query_positions(1); }),
       "config.rotary.key_positions", "is not set; want query_positions and key_positions"},
      {"RotaryPositionsTooFew", rotary([](auto& r) {
         r.add_query_positions(1);
         r.add_key_positions(1);
       }),
       "config.rotary.query_positions", "has 1 elements; want 3, one a token"},
      {"RotaryPositionTooFar", rotary([](auto& r) {
         for (int i = 0; i < 3; ++i) {
           r.add_query_positions(0);
           r.add_key_positions(i == 2 ? int64_t{1} << 40 : 0);
         }
       }),
       "config.rotary.key_positions[2]", "is 1099511627776; want -2^31 to 2^31"},
      {"Float16NumbersTypedByHand",
       With(Projected(),
            [](Request& r) {
              v1::Tensor& query = *r.mutable_projected()->mutable_query();
              query.clear_data();
              query.set_data_type(v1::DATA_TYPE_FLOAT16);
              query.mutable_float_values()->Resize(24, 1);
            }),
       "projected.query.float_values", "are set with DATA_TYPE_FLOAT16; want DATA_TYPE_FLOAT32"},
      {"Float16WithTheBytesOfFloat32",
       With(Projected(),
            [](Request& r) {
              r.mutable_projected()->mutable_query()->set_data_type(v1::DATA_TYPE_FLOAT16);
            }),
       "projected.query.data", "has 96 bytes; want 24 elements of 2 bytes"},
  };
}

}  // namespace attention
