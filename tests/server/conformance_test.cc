// The ONNX project's node tests of its operator Attention (opsets 23, 24 and 25), each translated
// into a request, sent to a real server and compared as the ONNX runner compares.
// tests/data/onnx_attention/ holds them as the reference implementation evaluated them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "attention/v1/attention_service.pb.h"
#include "client/tensor.h"
#include "nlohmann/json.hpp"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using Json = nlohmann::json;

constexpr double kRelative = 1e-3, kAbsolute = 1e-7;  // the ONNX runner's

float Number(const Json& value) {
  if (value == "nan") return std::nanf("");
  if (value == "inf") return INFINITY;
  if (value == "-inf") return -INFINITY;
  return value.is_boolean() ? static_cast<float>(value.get<bool>()) : value.get<float>();
}

std::vector<float> Numbers(const Json& array) {
  std::vector<float> numbers;
  for (const Json& value : array) numbers.push_back(Number(value));
  return numbers;
}

v1::Tensor ToTensor(const Json& array) {
  const auto shape = array["shape"].get<std::vector<int64_t>>();
  const std::string type = array["dtype"];
  const std::vector<float> numbers = Numbers(array["data"]);
  if (type == "bool") {
    const auto bools = std::make_unique<bool[]>(numbers.size());
    std::copy(numbers.begin(), numbers.end(), bools.get());
    return client::MakeBoolTensor(shape, absl::MakeConstSpan(bools.get(), numbers.size()));
  }
  if (type == "f16") return client::MakeTensor(shape, numbers, v1::DATA_TYPE_FLOAT16);
  if (type == "f64") return client::MakeTensor(shape, numbers, v1::DATA_TYPE_FLOAT64);
  EXPECT_EQ(type, "f32");
  return client::MakeTensor(shape, numbers);
}

// What qk_matmul_output is: scores at a stage, or the weights.
v1::Result ScoresOfMode(int mode, v1::AttentionConfig& config) {
  if (mode == 1) config.set_score_stage(v1::SCORE_STAGE_SOFTCAPPED);
  if (mode == 2) config.set_score_stage(v1::SCORE_STAGE_BIASED);
  return mode == 3 ? v1::RESULT_ATTENTION_WEIGHTS : v1::RESULT_ATTENTION_SCORES;
}

v1::ComputeAttentionRequest ToRequest(const Json& test) {
  v1::ComputeAttentionRequest request;
  const Json& inputs = test["inputs"];
  v1::ProjectedSource& source = *request.mutable_projected();
  *source.mutable_query() = ToTensor(inputs["Q"]);
  *source.mutable_key() = ToTensor(inputs["K"]);
  *source.mutable_value() = ToTensor(inputs["V"]);
  if (inputs.contains("past_key")) *source.mutable_past_key() = ToTensor(inputs["past_key"]);
  if (inputs.contains("past_value")) *source.mutable_past_value() = ToTensor(inputs["past_value"]);
  if (inputs.contains("nonpad_kv_seqlen")) {
    for (const Json& len : inputs["nonpad_kv_seqlen"]["data"]) source.add_kv_lens(len);
  }
  v1::AttentionConfig& config = *request.mutable_config();
  if (inputs.contains("attn_mask")) *config.mutable_mask() = ToTensor(inputs["attn_mask"]);

  const std::set<std::string> known = {"is_causal",         "scale",
                                       "softcap",           "q_num_heads",
                                       "kv_num_heads",      "left_window_size",
                                       "right_window_size", "qk_matmul_output_mode",
                                       "softmax_precision"};
  const Json& attributes = test["attributes"];
  for (const auto& attribute : attributes.items()) {
    EXPECT_EQ(known.count(attribute.key()), 1) << attribute.key();
  }
  config.set_causal(attributes.value("is_causal", 0) != 0);
  if (attributes.contains("scale")) config.set_scale(attributes["scale"]);
  config.set_softcap(attributes.value("softcap", 0.0f));
  config.set_num_heads(attributes.value("q_num_heads", 0));
  config.set_num_kv_heads(attributes.value("kv_num_heads", 0));
  if (attributes.contains("left_window_size")) {
    config.set_left_window(attributes["left_window_size"]);
  }
  if (attributes.contains("right_window_size")) {
    config.set_right_window(attributes["right_window_size"]);
  }
  const v1::Result scores = ScoresOfMode(attributes.value("qk_matmul_output_mode", 0), config);
  for (const auto& output : test["outputs"].items()) {
    const std::string& name = output.key();
    request.add_results(name == "Y"               ? v1::RESULT_OUTPUT
                        : name == "present_key"   ? v1::RESULT_PRESENT_KEY
                        : name == "present_value" ? v1::RESULT_PRESENT_VALUE
                                                  : scores);
  }
  return request;
}

const v1::Tensor& OutputNamed(const std::string& name,
                              const v1::ComputeAttentionResponse& response) {
  if (name == "Y") return response.output();
  if (name == "present_key") return response.present_key();
  if (name == "present_value") return response.present_value();
  EXPECT_EQ(name, "qk_matmul_output");
  return response.has_attention_scores() ? response.attention_scores()
                                         : response.attention_weights();
}

void ExpectClose(const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isfinite(want[i])) {
      EXPECT_NEAR(got[i], want[i], kAbsolute + kRelative * std::abs(want[i])) << "number " << i;
    } else if (std::isnan(want[i])) {
      EXPECT_TRUE(std::isnan(got[i])) << "number " << i << " is " << got[i];
    } else {
      EXPECT_EQ(got[i], want[i]) << "number " << i;
    }
  }
}

class Conformance : public RunningServer,
                    public testing::WithParamInterface<std::filesystem::path> {};

TEST_P(Conformance, GivesWhatOnnxGives) {
  const Json test = Json::parse(std::ifstream(GetParam()));
  const v1::ComputeAttentionResponse response = Compute(ToRequest(test));
  for (const auto& output : test["outputs"].items()) {
    SCOPED_TRACE(output.key());
    const v1::Tensor& tensor = OutputNamed(output.key(), response);
    EXPECT_EQ(tensor.data_type(), ToTensor(output.value()).data_type());
    ExpectClose(Floats(tensor, output.value()["shape"].get<std::vector<int64_t>>()),
                Numbers(output.value()["data"]));
  }
}

std::vector<std::filesystem::path> Cases() {
  std::vector<std::filesystem::path> cases;
  for (const auto& entry :
       std::filesystem::directory_iterator(ATTENTION_TEST_DATA "/onnx_attention")) {
    if (entry.path().extension() == ".json") cases.push_back(entry.path());
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Onnx, Conformance, testing::ValuesIn(Cases()),
                         [](const auto& test) { return test.param.stem().string(); });

TEST(ConformanceCases, AreAllThere) { EXPECT_GE(Cases().size(), 39); }

}  // namespace
}  // namespace attention
