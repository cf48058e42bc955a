// Calls that wait at the same moment run as one batch, and nobody can tell by the results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "tests/kernels/problem.h"
#include "tests/server/stored_layers.h"

namespace attention {
namespace {

constexpr int kCallers = 16;

class Batching : public ServerWithLayers, public testing::WithParamInterface<v1::ComputeType> {
 protected:
  void SetUp() override {
    Start({.port = 0, .threads = 1});
    v1::CreateLayerRequest attention = SmallAttention("attention", 5);
    attention.mutable_attention()->set_d_model(96);
    attention.mutable_attention()->set_num_heads(4);
    Create(attention);
    v1::CreateLayerRequest encoder;
    encoder.set_name("encoder");
    encoder.mutable_encoder()->set_d_model(64);
    encoder.mutable_encoder()->set_num_heads(2);
    encoder.mutable_encoder()->set_num_layers(2);
    encoder.mutable_encoder()->set_vocabulary(50);
    Create(encoder);
  }

  static v1::Tensor Tokens(int64_t len, unsigned seed, int exponent) {
    std::vector<float> tokens = RandomFloats(len * 96, seed);
    for (float& x : tokens) x = std::ldexp(x, exponent);
    return client::MakeTensor({len, 96}, tokens);
  }

  // Calls that differ in all that calls of one batch may differ in. Some have values so small, or
  // so large, that their outputs take double precision.
  static v1::ComputeAttentionRequest Attention(int i) {
    const int64_t len = 1 + 5 * i;
    v1::ComputeAttentionRequest request;
    request.set_request_id(absl::StrCat("call ", i));
    const bool huge_values = i % 5 == 3, tiny_values = i % 6 == 1;
    *request.mutable_tokens()->mutable_tokens() = Tokens(len, i,
                                                         huge_values   ? -122
                                                         : tiny_values ? -130
                                                                       : 0);
    request.mutable_tokens()->mutable_layer()->set_name("attention");
    request.mutable_config()->set_compute_type(GetParam());
    request.add_results(v1::RESULT_OUTPUT);
    request.add_results(v1::RESULT_KEY);
    request.add_results(v1::RESULT_ATTENTION_WEIGHTS);
    if (i % 3 == 1) {
      request.add_query_indices(len - 1);
      request.add_query_indices(0);
    }
    if (i % 4 == 2) {
      *request.mutable_config()->mutable_mask() =
          client::MakeTensor({len, len}, RandomFloats(len * len, 100 + i));
    }
    if (huge_values) {
      *request.mutable_tokens()->mutable_context() = Tokens(9, 200 + i, 124);
      request.mutable_config()->clear_mask();
    }
    return request;
  }

  // Keys alone: then no queries are computed, however many query_indices ask for.
  static v1::ComputeAttentionRequest Keys(int i) {
    v1::ComputeAttentionRequest request;
    request.set_request_id(absl::StrCat("call ", i));
    *request.mutable_tokens()->mutable_tokens() = Tokens(1 + 5 * i, i, 0);
    request.mutable_tokens()->mutable_layer()->set_name("attention");
    request.mutable_config()->set_compute_type(GetParam());
    request.add_results(v1::RESULT_KEY);
    for (int index = 0; index < i % 3 * 100; ++index) request.add_query_indices(0);
    return request;
  }

  static v1::EncodeRequest Encoder(int i) {
    v1::EncodeRequest request;
    request.set_request_id(absl::StrCat("call ", i));
    request.mutable_layer()->set_name("encoder");
    request.mutable_config()->set_compute_type(GetParam());
    for (const int64_t len : {1 + i, 3}) {
      request.add_lens(len);
      for (int64_t t = 0; t < len; ++t) request.add_token_ids((7 * t + i) % 50);
    }
    if (i % 2 == 1) request.add_results(v1::ENCODE_RESULT_HIDDEN_STATES);
    request.add_results(v1::ENCODE_RESULT_POOLED);
    return request;
  }

  // Makes all calls again and again, all at once, until enough ran in batches; `call` must give the
  // same bytes as `alone`.
  template <typename Request, typename Call>
  void ExpectSameBytesTogether(Request (*make)(int), Call call) {
    std::vector<std::string> alone;
    for (int i = 0; i < kCallers; ++i) alone.push_back(Bytes(call(make(i))));
    std::atomic<int> in_batches = 0;
    std::vector<std::thread> callers;
    const absl::Time end = absl::Now() + absl::Seconds(60);
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back([&, i] {
        const Request request = make(i);
        while (in_batches < 200 && absl::Now() < end) {
          auto response = call(request);
          in_batches += response.timing().batch_calls() > 1 ? 1 : 0;
          const int64_t batch_calls = response.timing().batch_calls();
          const std::string together = Bytes(std::move(response));
          const auto difference =
              std::mismatch(together.begin(), together.end(), alone[i].begin(), alone[i].end());
          EXPECT_TRUE(together == alone[i])
              << "call " << i << " in a batch of " << batch_calls << " differs at byte "
              << difference.first - together.begin() << " of " << together.size();
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    EXPECT_GE(in_batches, 200);
  }

  template <typename Response>
  static std::string Bytes(Response response) {
    EXPECT_GE(response.timing().batch_calls(), 1);
    response.clear_timing();
    return response.SerializeAsString();
  }
};

TEST_P(Batching, CallsOfAStoredLayerGiveTheirOwnBytes) {
  ExpectSameBytesTogether(&Attention, [&](const auto& request) { return Compute(request); });
}

// The rows of such calls were put together by the number of their queries: keys of others came
// back, and memory behind the tokens was read.
TEST_P(Batching, CallsForKeysAloneGiveTheirOwnBytes) {
  ExpectSameBytesTogether(&Keys, [&](const auto& request) { return Compute(request); });
}

TEST_P(Batching, CallsOfAnEncoderGiveTheirOwnBytes) {
  ExpectSameBytesTogether(&Encoder, [&](const auto& request) { return Encode(request); });
}

INSTANTIATE_TEST_SUITE_P(ComputeTypes, Batching,
                         testing::Values(v1::COMPUTE_TYPE_FLOAT32, v1::COMPUTE_TYPE_BFLOAT16),
                         [](const auto& type) {
                           return type.param == v1::COMPUTE_TYPE_FLOAT32 ? "Float32" : "Bfloat16";
                         });

}  // namespace
}  // namespace attention
