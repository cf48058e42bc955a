// The tutorials' examples through a real server: the numbers that they print, digit for digit. One
// of them draws its projections at random and does not say what it drew, so its shapes and its
// scale are taken, with projections drawn here, and its numbers come from the float64 reference.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/tensor.h"
#include "kernels/reference/reference_attention.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using Numbers = std::vector<float>;

class Tutorial : public RunningServer {
 protected:
  // The simplified attention: no learned weights, scale 1.
  static v1::ComputeAttentionRequest Simplified(const v1::Tensor& tokens) {
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() = tokens;
    request.mutable_config()->set_scale(1);
    return request;
  }
};

// Compares numbers with their printed form: each rounds to exactly the digits that stand there.
void ExpectPrints(const Numbers& values, const std::string& printed) {
  const std::vector<std::string> want =
      absl::StrSplit(printed, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  ASSERT_EQ(values.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t point = want[i].find('.');
    const int decimals = point == std::string::npos ? 0 : want[i].size() - point - 1;
    EXPECT_EQ(absl::StrFormat("%.*f", decimals, values[i]), want[i]) << "number " << i;
  }
}

v1::Tensor JimAndJohn() {
  Numbers vectors;
  for (int word = 1; word <= 8; ++word) {
    for (int d = 0; d < 3; ++d)
      vectors.push_back(std::stof(absl::StrFormat("%.1f", 0.1 * (word + d))));
  }
  return MakeTensor({8, 3}, vectors);
}

TEST_F(Tutorial, JimAloneWithScoresDividedByTheirSum) {
  v1::ComputeAttentionRequest request = Simplified(JimAndJohn());
  request.mutable_config()->set_normalization(v1::NORMALIZATION_SUM);
  request.add_query_indices(0);
  const v1::ComputeAttentionResponse response = Compute(request);
  ExpectPrints(Floats(response.attention_scores(), {1, 1, 1, 8}),
               "0.1400 0.2000 0.2600 0.3200 0.3800 0.4400 0.5000 0.5600");
  ExpectPrints(Floats(response.attention_weights(), {1, 1, 1, 8}),
               "0.0500 0.0714 0.0929 0.1143 0.1357 0.1571 0.1786 0.2000");
}

TEST_F(Tutorial, JimAloneWithSoftmaxToEightDigits) {
  v1::ComputeAttentionRequest request = Simplified(JimAndJohn());
  request.add_query_indices(0);
  const v1::ComputeAttentionResponse response = Compute(request);
  const Numbers weights = Floats(response.attention_weights(), {1, 1, 1, 8});
  ExpectPrints(weights,
               "0.10037188 0.10657853 0.11316898 0.12016696 0.12759766 0.13548787 0.14386596 "
               "0.15276214");
  float sum = 0;
  for (const float p : weights) sum += p;
  EXPECT_NEAR(sum, 1, 1e-6);
  ExpectPrints(Floats(response.output(), {1, 3}), "0.4814 0.5814 0.6814");
}

TEST_F(Tutorial, TheWholeSentence) {
  const v1::ComputeAttentionResponse response = Compute(Simplified(JimAndJohn()));
  const Numbers scores = Floats(response.attention_scores(), {1, 1, 8, 8});
  ExpectPrints(scores, R"(
      0.1400 0.2000 0.2600 0.3200 0.3800 0.4400 0.5000 0.5600
      0.2000 0.2900 0.3800 0.4700 0.5600 0.6500 0.7400 0.8300
      0.2600 0.3800 0.5000 0.6200 0.7400 0.8600 0.9800 1.1000
      0.3200 0.4700 0.6200 0.7700 0.9200 1.0700 1.2200 1.3700
      0.3800 0.5600 0.7400 0.9200 1.1000 1.2800 1.4600 1.6400
      0.4400 0.6500 0.8600 1.0700 1.2800 1.4900 1.7000 1.9100
      0.5000 0.7400 0.9800 1.2200 1.4600 1.7000 1.9400 2.1800
      0.5600 0.8300 1.1000 1.3700 1.6400 1.9100 2.1800 2.4500)");
  EXPECT_EQ(scores[0 * 8 + 6], scores[6 * 8 + 0]) << "a(jim, football) = a(football, jim)";
  ExpectPrints(Floats(response.attention_weights(), {1, 1, 8, 8}), R"(
      0.1004 0.1066 0.1132 0.1202 0.1276 0.1355 0.1439 0.1528
      0.0893 0.0977 0.1069 0.1170 0.1280 0.1401 0.1533 0.1677
      0.0791 0.0892 0.1006 0.1134 0.1278 0.1441 0.1625 0.1832
      0.0698 0.0810 0.0942 0.1094 0.1271 0.1477 0.1716 0.1993
      0.0612 0.0733 0.0878 0.1051 0.1258 0.1506 0.1803 0.2159
      0.0535 0.0660 0.0815 0.1005 0.1240 0.1530 0.1887 0.2328
      0.0466 0.0592 0.0753 0.0957 0.1217 0.1547 0.1967 0.2500
      0.0404 0.0529 0.0693 0.0908 0.1190 0.1559 0.2042 0.2675)");
  ExpectPrints(Floats(response.output(), {8, 3}), R"(
      0.4814 0.5814 0.6814
      0.4968 0.5968 0.6968
      0.5120 0.6120 0.7120
      0.5269 0.6269 0.7269
      0.5413 0.6413 0.7413
      0.5553 0.6553 0.7553
      0.5688 0.6688 0.7688
      0.5817 0.6817 0.7817)");
}

v1::Tensor ThreeInputs() { return MakeTensor({3, 4}, Numbers{1, 0, 1, 0, 0, 2, 0, 2, 1, 1, 1, 1}); }

TEST_F(Tutorial, QueryKeyAndValueStepByStep) {
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = ThreeInputs();
  v1::ProjectionWeights& weights = *request.mutable_tokens()->mutable_projection_weights();
  *weights.mutable_k_proj() = MakeTensor({4, 3}, Numbers{0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0});
  *weights.mutable_q_proj() = MakeTensor({4, 3}, Numbers{1, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1});
  *weights.mutable_v_proj() = MakeTensor({4, 3}, Numbers{0, 2, 0, 0, 3, 0, 1, 0, 3, 1, 1, 0});
  request.mutable_config()->set_scale(1);
  for (const v1::Result result : {v1::RESULT_QUERY, v1::RESULT_KEY, v1::RESULT_VALUE,
                                  v1::RESULT_ATTENTION_SCORES, v1::RESULT_ATTENTION_WEIGHTS}) {
    request.add_results(result);
  }
  const v1::ComputeAttentionResponse response = Compute(request);
  ExpectPrints(Floats(response.key(), {1, 1, 3, 3}), "0 1 1 4 4 0 2 3 1");
  ExpectPrints(Floats(response.value(), {1, 1, 3, 3}), "1 2 3 2 8 0 2 6 3");
  ExpectPrints(Floats(response.query(), {1, 1, 3, 3}), "1 0 2 2 2 2 2 1 3");
  ExpectPrints(Floats(response.attention_scores(), {1, 1, 3, 3}), "2 4 4 4 16 12 4 12 10");
  ExpectPrints(Floats(response.attention_weights(), {1, 1, 3, 3}), R"(
      0.063379 0.468311 0.468311
      0.000006 0.982008 0.017986
      0.000295 0.880537 0.119168)");
  EXPECT_FALSE(response.has_output()) << "only what was asked for";
}

TEST_F(Tutorial, TheRoundedWeightsThatTheReaderCanFollow) {
  v1::ComputeAttentionRequest request;
  *request.mutable_weighted()->mutable_attention_weights() =
      MakeTensor({3, 3}, Numbers{0, 0.5f, 0.5f, 0, 1, 0, 0, 0.9f, 0.1f});
  *request.mutable_weighted()->mutable_value() =
      MakeTensor({3, 3}, Numbers{1, 2, 3, 2, 8, 0, 2, 6, 3});
  request.add_results(v1::RESULT_WEIGHTED_VALUES);
  request.add_results(v1::RESULT_OUTPUT);
  const v1::ComputeAttentionResponse response = Compute(request);
  ExpectPrints(Floats(response.weighted_values(), {1, 1, 3, 3, 3}), R"(
      0.0000 0.0000 0.0000   0.0000 0.0000 0.0000   0.0000 0.0000 0.0000
      1.0000 4.0000 0.0000   2.0000 8.0000 0.0000   1.8000 7.2000 0.0000
      1.0000 3.0000 1.5000   0.0000 0.0000 0.0000   0.2000 0.6000 0.3000)");
  ExpectPrints(Floats(response.output(), {3, 3}), R"(
      2.0000 7.0000 1.5000
      2.0000 8.0000 0.0000
      2.0000 7.8000 0.3000)");
}

TEST_F(Tutorial, NWaySplitHeadsEqualOneCallAHead) {
  v1::ComputeAttentionRequest request =
      Simplified(MakeTensor({3, 4}, Numbers{1, 0, 2, 0, 3, 2, 0, 2, 1, 1, 1, 5}));
  request.mutable_config()->set_num_heads(2);
  const Numbers both = Floats(Compute(request).output(), {3, 4});
  for (int head = 0; head < 2; ++head) {
    Numbers half;
    for (const float* row : {&both[0], &both[4], &both[8]}) {
      half.insert(half.end(), row + 2 * head, row + 2 * head + 2);
    }
    const Numbers tokens = head == 0 ? Numbers{1, 0, 3, 2, 1, 1} : Numbers{2, 0, 0, 2, 1, 5};
    EXPECT_EQ(Floats(Compute(Simplified(MakeTensor({3, 2}, tokens))).output(), {3, 2}), half);
  }
}

TEST_F(Tutorial, RandomProjectionsScaledByTheRootOfThree) {
  std::mt19937 generator(5);
  std::uniform_real_distribution<float> uniform(0, 1);
  const auto random = [&] {
    Numbers numbers(12);
    for (float& x : numbers) x = uniform(generator);
    return numbers;
  };
  const Numbers tokens = {1, 0, 1, 0, 0, 2, 0, 2, 1, 1, 1, 1};
  const Numbers w_query = random(), w_key = random(), w_value = random();
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = ThreeInputs();
  v1::ProjectionWeights& weights = *request.mutable_tokens()->mutable_projection_weights();
  *weights.mutable_q_proj() = MakeTensor({4, 3}, w_query);
  *weights.mutable_k_proj() = MakeTensor({4, 3}, w_key);
  *weights.mutable_v_proj() = MakeTensor({4, 3}, w_value);
  const v1::ComputeAttentionResponse response = Compute(request);

  const auto project = [&](const Numbers& w) {
    const std::vector<double> y = ReferenceLinear({tokens.data(), DataType::kFloat32, 4, 3, 4},
                                                  {.data = w.data(), .in = 4, .out = 3}, nullptr);
    return Numbers(y.begin(), y.end());
  };
  const Numbers query = project(w_query), key = project(w_key), value = project(w_value);
  const auto one_head = [](const Numbers& numbers) {
    return HeadMajorView(reinterpret_cast<const std::byte*>(numbers.data()), DataType::kFloat32, 3,
                         3);
  };
  AttentionSettings settings;
  settings.scale = 1 / std::sqrt(3.0f);
  AttentionSequence sequence;
  sequence.q_len = sequence.kv_len = sequence.visible_len = 3;
  sequence.query = one_head(query);
  sequence.key.current = one_head(key);
  sequence.value.current = one_head(value);
  const ReferenceResult oracle = ReferenceAttention(settings, sequence, 3, 3);
  const Numbers output = Floats(response.output(), {3, 3});
  const Numbers attention_weights = Floats(response.attention_weights(), {1, 1, 3, 3});
  for (int i = 0; i < 3; ++i) {
    float sum = 0;
    for (int j = 0; j < 3; ++j) sum += attention_weights[i * 3 + j];
    EXPECT_NEAR(sum, 1, 1e-6);
    for (int d = 0; d < 3; ++d) {
      EXPECT_NEAR(output[i * 3 + d], oracle.output[i * 3 + d], 1e-5);
      EXPECT_GE(output[i * 3 + d], std::min({value[d], value[3 + d], value[6 + d]}));
      EXPECT_LE(output[i * 3 + d], std::max({value[d], value[3 + d], value[6 + d]}));
    }
  }
}

TEST_F(Tutorial, AttentionOfAnInputToADifferentTarget) {
  v1::ComputeAttentionRequest request = Simplified(MakeTensor({1, 2}, Numbers{1, 2}));  // a user
  *request.mutable_tokens()->mutable_context() =
      MakeTensor({3, 2}, Numbers{1, 0, 0, 1, 1, 1});  // three items
  const v1::ComputeAttentionResponse response = Compute(request);
  ExpectPrints(Floats(response.attention_scores(), {1, 1, 1, 3}), "1 2 3");
  // exp(1), exp(2), exp(3) over their sum; items 1 and 3 hold the first number, 2 and 3 the second.
  ExpectPrints(Floats(response.attention_weights(), {1, 1, 1, 3}), "0.0900 0.2447 0.6652");
  ExpectPrints(Floats(response.output(), {1, 2}), "0.7553 0.9100");
}

v1::Tensor YourJourney() {
  return MakeTensor({6, 3}, Numbers{0.43f, 0.15f, 0.89f, 0.55f, 0.87f, 0.66f, 0.57f, 0.85f, 0.64f,
                                    0.22f, 0.58f, 0.33f, 0.77f, 0.25f, 0.10f, 0.05f, 0.80f, 0.55f});
}

TEST_F(Tutorial, YourJourneyStartsWithOneStep) {
  v1::ComputeAttentionRequest request = Simplified(YourJourney());
  const v1::ComputeAttentionResponse all = Compute(request);
  ExpectPrints(Floats(all.output(), {6, 3}), R"(
      0.4421 0.5931 0.5790
      0.4419 0.6515 0.5683
      0.4431 0.6496 0.5671
      0.4304 0.6298 0.5510
      0.4671 0.5910 0.5266
      0.4177 0.6503 0.5645)");
  request.add_query_indices(1);
  const v1::ComputeAttentionResponse journey = Compute(request);
  ExpectPrints(Floats(journey.attention_scores(), {1, 1, 1, 6}),
               "0.9544 1.4950 1.4754 0.8434 0.7070 1.0865");
  ExpectPrints(Floats(journey.attention_weights(), {1, 1, 1, 6}),
               "0.1385 0.2379 0.2333 0.1240 0.1082 0.1581");
  ExpectPrints(Floats(journey.output(), {1, 3}), "0.4419 0.6515 0.5683");
  request.mutable_config()->set_normalization(v1::NORMALIZATION_SUM);
  ExpectPrints(Floats(Compute(request).attention_weights(), {1, 1, 1, 6}),
               "0.1455 0.2278 0.2249 0.1285 0.1077 0.1656");
}

TEST_F(Tutorial, OverflowAndUnderflowDoNotHappenWithSoftmax) {
  v1::ComputeAttentionRequest request = Simplified(MakeTensor({2, 1}, Numbers{100, -100}));
  const v1::ComputeAttentionResponse response = Compute(request);
  ExpectPrints(Floats(response.attention_scores(), {1, 1, 2, 2}), "10000 -10000 -10000 10000");
  ExpectPrints(Floats(response.attention_weights(), {1, 1, 2, 2}), "1 0 0 1");
  ExpectPrints(Floats(response.output(), {2, 1}), "100 -100");
}

}  // namespace
}  // namespace attention
