// Numbers of any size through a real server: the output is the product of the weights that are
// returned and the values, and a row of SUM that is nothing but rounding errors is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "client/tensor.h"
#include "tests/kernels/problem.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using testing::HasSubstr;
using Request = v1::ComputeAttentionRequest;

constexpr int64_t kLen = 70, kSizedHeads = 2, kSizedDim = 4;

class MagnitudesOverTheWire : public RunningServer {
 protected:
  static Request FromTokens(const std::vector<float>& tokens, int64_t width) {
    Request request;
    *request.mutable_tokens()->mutable_tokens() =
        MakeTensor({static_cast<int64_t>(tokens.size()) / width, width}, tokens);
    request.mutable_config()->set_scale(1);
    return request;
  }
  static Request SumOf(const std::vector<float>& tokens, int64_t width) {
    Request request = FromTokens(tokens, width);
    request.mutable_config()->set_normalization(v1::NORMALIZATION_SUM);
    return request;
  }

  // Queries, keys and values [batch, kLen, kSizedHeads * kSizedDim], values of sequence b times
  // 2^exponents[b].
  static Request Projected(const std::vector<int>& exponents, v1::DataType type) {
    Request request;
    const auto batch = static_cast<int64_t>(exponents.size());
    const auto tensor = [&](unsigned seed, bool is_value) {
      std::vector<float> numbers;
      for (const int exponent : exponents) {
        for (const float x : RandomFloats(kLen * kSizedHeads * kSizedDim, seed)) {
          numbers.push_back(is_value ? std::ldexp(x, exponent) : x);
        }
      }
      return MakeTensor({batch, kLen, kSizedHeads * kSizedDim}, numbers, type);
    };
    *request.mutable_projected()->mutable_query() = tensor(1, false);
    *request.mutable_projected()->mutable_key() = tensor(2, false);
    *request.mutable_projected()->mutable_value() = tensor(3, true);
    request.mutable_config()->set_num_heads(kSizedHeads);
    return request;
  }
  static std::vector<float> OutputOf(const v1::ComputeAttentionResponse& response) {
    const v1::Tensor& output = response.output();
    return Floats(output, {output.shape().begin(), output.shape().end()});
  }
};

TEST_F(MagnitudesOverTheWire, SumOfTwoEqualTokensGivesThatToken) {
  for (const float x :
       {1e-20f, 1e-18f, 1e-16f, 1e-15f, 1e-10f, 1.0f, 7e12f, 1e15f, 1.3e19f, 1.5e19f, 1.8e19f}) {
    const v1::ComputeAttentionResponse response = Compute(SumOf({x, x}, 1));
    EXPECT_EQ(Floats(response.attention_weights(), {1, 1, 2, 2}),
              (std::vector<float>{0.5f, 0.5f, 0.5f, 0.5f}))
        << x;
    EXPECT_TRUE(Near(Floats(response.output(), {2, 1}), {x, x}, 1e-6 * x)) << x;
  }
}

// The scores of all sequences are the same, so their outputs differ by powers of 2 alone: to the
// bit where no rounding to denormal numbers comes in, but for sums that had to be taken again.
TEST_F(MagnitudesOverTheWire, OutputsOfABatchScaleWithTheirValues) {
  for (const v1::ComputeType type : {v1::COMPUTE_TYPE_FLOAT32, v1::COMPUTE_TYPE_BFLOAT16}) {
    for (const v1::DataType data : {v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_BFLOAT16}) {
      const std::vector<int> exponents = {0, -140, -120, -60, 60, 105, 121, 127};
      Request request = Projected(exponents, data);
      request.mutable_config()->set_compute_type(type);
      request.mutable_config()->set_scale(8);  // weights of e^16 and more before division
      const std::vector<float> output = OutputOf(Compute(request));
      const size_t size = output.size() / exponents.size();
      const bool rounded = type == v1::COMPUTE_TYPE_BFLOAT16 || data == v1::DATA_TYPE_BFLOAT16;
      for (size_t b = 0; b < exponents.size(); ++b) {
        std::vector<float> scaled;
        for (size_t i = 0; i < size; ++i) {
          scaled.push_back(std::ldexp(output[b * size + i], -exponents[b]));
        }
        // A denormal value has lost up to 2^-150, of bfloat16 2^-134.
        const int least = data == v1::DATA_TYPE_BFLOAT16 ? -134 : -149;
        const double lost = exponents[b] < -100 ? std::ldexp(2.0, least - exponents[b]) : 0;
        EXPECT_TRUE(Near(scaled, {output.begin(), output.begin() + static_cast<int64_t>(size)},
                         (rounded ? 0.02 : 1e-5) + lost))
            << "values times 2^" << exponents[b];

        Request alone = Projected({exponents[b]}, data);
        *alone.mutable_config() = request.config();
        const auto first = output.begin() + static_cast<int64_t>(b * size);
        EXPECT_EQ(OutputOf(Compute(alone)),
                  std::vector<float>(first, first + static_cast<int64_t>(size)));
      }
    }
  }
}

TEST_F(MagnitudesOverTheWire, PartialResultsMerge) {
  for (const int exponent : {-130, 0, 121}) {
    Request whole = Projected({exponent}, v1::DATA_TYPE_FLOAT32);
    whole.mutable_config()->set_scale(8);
    std::vector<uint8_t> earlier(kLen, 0);
    std::fill_n(earlier.begin(), 30, 1);
    Request merge;
    merge.mutable_config()->set_num_heads(kSizedHeads);
    for (const bool first : {true, false}) {
      Request part = whole;
      std::vector<float> bias;
      for (const uint8_t is_earlier : earlier)
        bias.push_back((is_earlier != 0) == first ? 0 : -kInf);
      *part.mutable_config()->mutable_mask() = MakeTensor({kLen}, bias);
      part.add_results(v1::RESULT_OUTPUT);
      part.add_results(v1::RESULT_LOG_SUM_EXP);
      v1::ComputeAttentionResponse response = Compute(part);
      auto& to = *merge.mutable_partials()->add_parts();
      *to.mutable_output() = response.output();
      *to.mutable_log_sum_exp() = response.log_sum_exp();
    }
    const std::vector<float> want = OutputOf(Compute(whole));
    const double unit = std::ldexp(1.0, exponent);
    EXPECT_TRUE(Near(OutputOf(Compute(merge)), {want.begin(), want.end()}, 1e-5 * unit + 0x1p-148))
        << "values times 2^" << exponent;
  }
}

// 2 * 3e38 - 1.5 * 3e38 is finite, 2 * 3e38 is not; 2^-100 * 2^-50, a thousand times, is 2^-140.
TEST_F(MagnitudesOverTheWire, WeightsThatAreSentCombineWithValuesOfAnySize) {
  Request request;
  *request.mutable_weighted()->mutable_attention_weights() = MakeTensor({1, 2}, {2, -1.5f});
  *request.mutable_weighted()->mutable_value() = MakeTensor({2, 1}, {3e38f, 3e38f});
  EXPECT_TRUE(Near(Floats(Compute(request).output(), {1, 1}), {1.5e38}, 1e32));

  *request.mutable_weighted()->mutable_attention_weights() =
      MakeTensor({1, 1024}, std::vector<float>(1024, 0x1p-100f));
  *request.mutable_weighted()->mutable_value() =
      MakeTensor({1024, 1}, std::vector<float>(1024, 0x1p-50f));
  EXPECT_EQ(Floats(Compute(request).output(), {1, 1}), std::vector<float>{0x1p-140f});
}

TEST_F(MagnitudesOverTheWire, ASumThatIsItsOwnRoundingErrorIsRefusedByRowAndSum) {
  const absl::Status status =
      client_->ComputeAttention(SumOf({.1f, .2f, .3f, -.1f, -.4f, -.1f}, 2)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("in sequence 0: the attention scores of query 0 in head 0 sum to "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("not above its rounding error of "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("or use SOFTMAX"));
}

// Scores that are finite, or no answer: nothing that is not a number in between.
TEST_F(MagnitudesOverTheWire, FiniteScoresGiveFiniteWeightsOrAnErrorThatNamesTheRow) {
  for (int exponent = -80; exponent < 64; exponent += 3) {
    std::vector<float> tokens = RandomFloats(3 * 4, 7);
    for (float& x : tokens) x = std::ldexp(x, exponent);
    for (const bool sum : {true, false}) {
      auto response = client_->ComputeAttention(sum ? SumOf(tokens, 4) : FromTokens(tokens, 4));
      if (!response.ok()) {
        EXPECT_THAT(std::string(response.status().message()), HasSubstr("of query 0 in head 0"));
        continue;
      }
      const std::vector<float> scores = Floats(response->attention_scores(), {1, 1, 3, 3});
      const std::vector<float> weights = Floats(response->attention_weights(), {1, 1, 3, 3});
      const std::vector<float> output = Floats(response->output(), {3, 4});
      for (const float score : scores) ASSERT_TRUE(std::isfinite(score)) << exponent;
      for (const float weight : weights) ASSERT_TRUE(std::isfinite(weight)) << exponent;
      std::vector<double> want(12, 0);
      for (size_t i = 0; i < 12; ++i) {
        for (size_t j = 0; j < 3; ++j) {
          want[i] += static_cast<double>(weights[i / 4 * 3 + j]) * tokens[j * 4 + i % 4];
        }
      }
      EXPECT_TRUE(Near(output, want, OutputTolerance(want))) << "tokens times 2^" << exponent;
    }
  }
}

}  // namespace
}  // namespace attention
