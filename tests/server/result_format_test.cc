// In which of a tensor's two fields results come: as the tokens came, or as the request says.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "client/call_status.h"
#include "tests/server/running_server.h"
#include "tests/server/stored_layers.h"

namespace attention {
namespace {

using client::MakeTensor;
using google::protobuf::util::JsonStringToMessage;
using google::protobuf::util::MessageToJsonString;
using testing::HasSubstr;

// The tensor as somebody types it: without a type, its elements as numbers.
v1::Tensor Typed(const v1::Tensor& tensor) {
  v1::Tensor typed;
  *typed.mutable_shape() = tensor.shape();
  const auto values = client::FloatValues(tensor);
  EXPECT_TRUE(values.ok()) << values.status();
  typed.mutable_float_values()->Add(values->begin(), values->end());
  return typed;
}

std::map<std::string, v1::Tensor> TensorsOf(const v1::ComputeAttentionResponse& response) {
  std::map<std::string, v1::Tensor> all = {{"output", response.output()},
                                           {"attention_scores", response.attention_scores()},
                                           {"attention_weights", response.attention_weights()},
                                           {"query", response.query()},
                                           {"key", response.key()},
                                           {"value", response.value()},
                                           {"weighted_values", response.weighted_values()},
                                           {"indices", response.top_keys().indices()},
                                           {"top", response.top_keys().attention_weights()},
                                           {"log_sum_exp", response.log_sum_exp()},
                                           {"present_key", response.present_key()},
                                           {"present_value", response.present_value()}};
  std::erase_if(all, [](const auto& named) { return named.second.shape().empty(); });
  return all;
}

std::map<std::string, v1::Tensor> TensorsOf(const v1::EncodeResponse& response) {
  std::map<std::string, v1::Tensor> all = {{"hidden_states", response.hidden_states()},
                                           {"pooled", response.pooled()}};
  if (response.probes_size() > 0) {
    all["probed states"] = response.probes(0).hidden_states();
    all["probed scores"] = response.probes(0).attention_scores();
    all["probed weights"] = response.probes(0).attention_weights();
  }
  std::erase_if(all, [](const auto& named) { return named.second.shape().empty(); });
  return all;
}

template <typename Response>
void ExpectBytes(const Response& response) {
  for (const auto& [name, tensor] : TensorsOf(response)) {
    EXPECT_FALSE(tensor.data().empty()) << name;
    EXPECT_TRUE(tensor.float_values().empty()) << name;
  }
}

// Numbers in `typed`, and of the same bits as the bytes in `bytes`.
template <typename Response>
void ExpectTheSameAsNumbers(const Response& typed, const Response& bytes) {
  ExpectBytes(bytes);
  const auto all = TensorsOf(typed);
  const auto all_bytes = TensorsOf(bytes);
  EXPECT_FALSE(all.empty());
  ASSERT_EQ(all.size(), all_bytes.size());
  for (const auto& [name, tensor] : all) {
    SCOPED_TRACE(name);
    EXPECT_TRUE(tensor.data().empty());
    const auto got = client::AsBytes(tensor);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->SerializeAsString(), all_bytes.at(name).SerializeAsString());
  }
}

// All that attention over keys and values can give.
void AskForEverything(v1::ComputeAttentionRequest& request) {
  for (int result = v1::RESULT_OUTPUT; result <= v1::Result_MAX; ++result) {
    request.add_results(static_cast<v1::Result>(result));
  }
  request.set_top_k(2);
}

v1::ComputeAttentionRequest ThreeTokens() {
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() =
      MakeTensor({3, 2}, {0.1f, 0.2f, -0.3f, 0.4f, 1.5f, 0.6f});
  AskForEverything(request);
  return request;
}

class ResultFormat : public ServerWithLayers {};

// What one sends with grpcurl, and what comes back once came as base64.
TEST_F(ResultFormat, JsonWithNumbersIsAnsweredByJsonWithNumbers) {
  v1::ComputeAttentionRequest request;
  ASSERT_TRUE(JsonStringToMessage(R"({
    "tokens": {"tokens": {"shape": [2, 2], "float_values": [1, 0, 0, 1]}},
    "config": {"scale": 1, "causal": true, "causal_alignment": "CAUSAL_ALIGNMENT_BOTTOM_RIGHT",
               "mask": {"data_type": "DATA_TYPE_BOOL", "shape": [2, 2], "float_values": [0, 0, 1, 0]}},
    "results": ["RESULT_OUTPUT", "RESULT_ATTENTION_SCORES", "RESULT_LOG_SUM_EXP", "RESULT_TOP_KEYS"]
  })",
                                  &request)
                  .ok());
  v1::ComputeAttentionResponse response = Compute(request);
  response.clear_timing();
  std::string json;
  ASSERT_TRUE(MessageToJsonString(response, &json).ok());
  EXPECT_THAT(json, HasSubstr(R"("output":{"dataType":"DATA_TYPE_FLOAT32","shape":["2","2"],)"
                              R"("floatValues":[0,0,1,0]})"));
  EXPECT_THAT(json, HasSubstr(R"("shape":["1","1","2","2"],"floatValues":[1,0,0,1]})"));
  EXPECT_THAT(json, HasSubstr(R"("floatValues":["-Infinity",0]})")) << "log_sum_exp";
  EXPECT_THAT(json, HasSubstr(R"("dataType":"DATA_TYPE_INT32","shape":["1","1","2","1"],)"));
  EXPECT_THAT(json, testing::Not(HasSubstr(R"("data")")));
  v1::ComputeAttentionResponse read;
  ASSERT_TRUE(JsonStringToMessage(json, &read).ok());
  EXPECT_EQ(read.SerializeAsString(), response.SerializeAsString());
}

TEST_F(ResultFormat, EveryResultComesAsTheTokensCame) {
  const v1::ComputeAttentionRequest bytes = ThreeTokens();
  v1::ComputeAttentionRequest typed = bytes;
  *typed.mutable_tokens()->mutable_tokens() = Typed(bytes.tokens().tokens());
  ExpectTheSameAsNumbers(Compute(typed), Compute(bytes));
}

TEST_F(ResultFormat, TheRequestDecidesOtherwise) {
  v1::ComputeAttentionRequest bytes = ThreeTokens();
  v1::ComputeAttentionRequest typed = bytes;
  *typed.mutable_tokens()->mutable_tokens() = Typed(bytes.tokens().tokens());
  typed.set_result_format(v1::RESULT_FORMAT_BYTES);
  ExpectBytes(Compute(typed));
  typed = bytes;
  typed.set_result_format(v1::RESULT_FORMAT_FLOAT_VALUES);
  bytes.set_result_format(v1::RESULT_FORMAT_BYTES);
  ExpectTheSameAsNumbers(Compute(typed), Compute(bytes));
}

// What somebody types beside bytes, a mask say, does not decide.
TEST_F(ResultFormat, OtherTensorsDoNotDecide) {
  v1::ComputeAttentionRequest request = ThreeTokens();
  *request.mutable_config()->mutable_mask() = Typed(MakeTensor({3}, {0, -1, 0}));
  ExpectBytes(Compute(request));
}

TEST_F(ResultFormat, NumbersAreFloat32WhateverTypeTheTokensHave) {
  for (const v1::DataType type :
       {v1::DATA_TYPE_BFLOAT16, v1::DATA_TYPE_FLOAT16, v1::DATA_TYPE_FLOAT64}) {
    SCOPED_TRACE(v1::DataType_Name(type));
    v1::ComputeAttentionRequest request = ThreeTokens();
    const auto values = client::FloatValues(request.tokens().tokens());
    *request.mutable_tokens()->mutable_tokens() = MakeTensor({3, 2}, *values, type);
    request.set_result_format(v1::RESULT_FORMAT_FLOAT_VALUES);
    // The same numbers as float32: what the server computes with, and so what it gives.
    v1::ComputeAttentionRequest wide = ThreeTokens();
    *wide.mutable_tokens()->mutable_tokens() =
        MakeTensor({3, 2}, *client::FloatValues(request.tokens().tokens()));
    ExpectTheSameAsNumbers(Compute(request), Compute(wide));
  }
}

TEST_F(ResultFormat, EverySourceHasATensorThatDecides) {
  const v1::Tensor numbers = MakeTensor({1, 1, 2, 2}, {0.5f, 1, -1, 2});
  const auto compare = [&](const v1::ComputeAttentionRequest& bytes, auto tensor_of) {
    v1::ComputeAttentionRequest typed = bytes;
    v1::Tensor& tensor = *tensor_of(typed);
    tensor = Typed(tensor);
    ExpectTheSameAsNumbers(Compute(typed), Compute(bytes));
  };
  v1::ComputeAttentionRequest projected;
  for (v1::Tensor* const tensor : {projected.mutable_projected()->mutable_query(),
                                   projected.mutable_projected()->mutable_key(),
                                   projected.mutable_projected()->mutable_value(),
                                   projected.mutable_projected()->mutable_past_key(),
                                   projected.mutable_projected()->mutable_past_value()}) {
    *tensor = numbers;
  }
  AskForEverything(projected);
  compare(projected, [](auto& r) { return r.mutable_projected()->mutable_query(); });

  v1::ComputeAttentionRequest weighted;
  *weighted.mutable_weighted()->mutable_attention_weights() = numbers;
  *weighted.mutable_weighted()->mutable_value() = numbers;
  for (const v1::Result result :
       {v1::RESULT_OUTPUT, v1::RESULT_ATTENTION_WEIGHTS, v1::RESULT_VALUE, v1::RESULT_TOP_KEYS}) {
    weighted.add_results(result);
  }
  compare(weighted, [](auto& r) { return r.mutable_weighted()->mutable_value(); });

  // With an output projection, and in a ragged batch.
  v1::ComputeAttentionRequest learned = ThreeTokens();
  v1::ProjectionWeights& weights = *learned.mutable_tokens()->mutable_projection_weights();
  for (v1::Tensor* const weight : {weights.mutable_q_proj(), weights.mutable_k_proj(),
                                   weights.mutable_v_proj(), weights.mutable_o_proj()}) {
    *weight = MakeTensor({2, 2}, {1, 2, 3, -4});
  }
  for (const int len : {1, 2}) learned.mutable_tokens()->add_q_lens(len);
  learned.set_top_k(1);
  compare(learned, [](auto& r) { return r.mutable_tokens()->mutable_tokens(); });
}

TEST_F(ResultFormat, PartialResultsThatCameAsNumbersAreMergedToNumbers) {
  v1::ComputeAttentionRequest bytes = ThreeTokens();
  bytes.clear_results();
  bytes.add_results(v1::RESULT_OUTPUT);
  bytes.add_results(v1::RESULT_LOG_SUM_EXP);
  v1::ComputeAttentionRequest typed = bytes;
  *typed.mutable_tokens()->mutable_tokens() = Typed(bytes.tokens().tokens());
  const auto merged = [&](const v1::ComputeAttentionRequest& part) {
    const v1::ComputeAttentionResponse response = Compute(part);
    v1::ComputeAttentionRequest merge;
    for (int i = 0; i < 2; ++i) {
      v1::PartialResult& to = *merge.mutable_partials()->add_parts();
      *to.mutable_output() = response.output();
      *to.mutable_log_sum_exp() = response.log_sum_exp();
    }
    return Compute(merge);
  };
  ExpectTheSameAsNumbers(merged(typed), merged(bytes));
}

TEST_F(ResultFormat, EachMessageOfAStreamHasItsOwn) {
  client::AttentionStream stream = client_->StreamAttention(absl::Seconds(20));
  for (const v1::ResultFormat format :
       {v1::RESULT_FORMAT_UNSPECIFIED, v1::RESULT_FORMAT_FLOAT_VALUES}) {
    v1::ComputeAttentionRequest request = ThreeTokens();
    request.set_result_format(format);
    request.set_request_id(v1::ResultFormat_Name(format));
    ASSERT_TRUE(stream.Write(request));
  }
  stream.WritesDone();
  std::map<std::string, v1::ComputeAttentionResponse> answers;
  while (auto response = stream.Read()) answers[response->request_id()] = *response;
  ASSERT_TRUE(stream.Finish().ok());
  ASSERT_EQ(answers.size(), 2);
  ExpectTheSameAsNumbers(answers["RESULT_FORMAT_FLOAT_VALUES"],
                         answers["RESULT_FORMAT_UNSPECIFIED"]);
}

TEST_F(ResultFormat, AnEncoderAnswersInBytesToTokenIdsAndAsEmbeddingsCame) {
  v1::CreateLayerRequest create;
  create.set_name("encoder");
  create.mutable_encoder()->set_d_model(4);
  create.mutable_encoder()->set_num_heads(2);
  create.mutable_encoder()->set_vocabulary(10);
  Create(create);
  v1::EncodeRequest ids;
  ids.mutable_layer()->set_name("encoder");
  for (const int id : {3, 1, 4}) ids.add_token_ids(id);
  v1::Probe& probe = *ids.add_probes();
  for (const v1::EncodeResult result :
       {v1::ENCODE_RESULT_HIDDEN_STATES, v1::ENCODE_RESULT_ATTENTION_SCORES,
        v1::ENCODE_RESULT_ATTENTION_WEIGHTS}) {
    probe.add_results(result);
  }
  v1::EncodeRequest ids_to_numbers = ids;
  ids_to_numbers.set_result_format(v1::RESULT_FORMAT_FLOAT_VALUES);
  ExpectTheSameAsNumbers(Encode(ids_to_numbers), Encode(ids));

  v1::EncodeRequest bytes = ids;
  bytes.clear_token_ids();
  *bytes.mutable_embeddings() = MakeTensor({2, 4}, {1, 2, 3, 4, 4, 3, 2, -1});
  v1::EncodeRequest typed = bytes;
  *typed.mutable_embeddings() = Typed(bytes.embeddings());
  ExpectTheSameAsNumbers(Encode(typed), Encode(bytes));
  typed.set_result_format(v1::RESULT_FORMAT_BYTES);
  ExpectBytes(Encode(typed));
}

// A call of a stored layer with numbers may run in a batch with one of bytes.
TEST_F(ResultFormat, CallsOfAStoredLayerMayDiffer) {
  Create(SmallAttention("small", 1));
  v1::ComputeAttentionRequest bytes;
  *bytes.mutable_tokens()->mutable_tokens() = MakeTensor({1, 8}, {1, 2, 3, 4, 5, 6, 7, 8});
  bytes.mutable_tokens()->mutable_layer()->set_name("small");
  v1::ComputeAttentionRequest typed = bytes;
  *typed.mutable_tokens()->mutable_tokens() = Typed(bytes.tokens().tokens());
  ExpectTheSameAsNumbers(Compute(typed), Compute(bytes));
}

TEST_F(ResultFormat, NumbersCountWithTheirOwnSizeAgainstTheLimit) {
  Start({.port = 0, .threads = 1, .max_message_mib = 1});
  constexpr int64_t kLen = 600;  // 720,000 bytes of bfloat16 scores, 1,440,000 of numbers
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() =
      MakeTensor({kLen, 1}, std::vector<float>(kLen, 1), v1::DATA_TYPE_BFLOAT16);
  request.add_results(v1::RESULT_ATTENTION_SCORES);
  ExpectBytes(Compute(request));
  request.set_result_format(v1::RESULT_FORMAT_FLOAT_VALUES);
  const absl::Status status = client_->ComputeAttention(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("results would take 1440000 bytes"));
}

TEST_F(ResultFormat, AFormatThatThereIsNotIsRefused) {
  v1::ComputeAttentionRequest request = ThreeTokens();
  request.set_result_format(static_cast<v1::ResultFormat>(7));
  const absl::Status status = client_->ComputeAttention(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("result_format is unknown: 7; want"));
  const auto violations = client::FieldViolations(status);
  ASSERT_EQ(violations.size(), 1);
  EXPECT_EQ(violations[0].field(), "result_format");
  ExpectBytes(Compute(ThreeTokens()));
}

}  // namespace
}  // namespace attention
