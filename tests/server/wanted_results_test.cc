// Only what is asked for is computed: what is not may be larger than the memory that a call gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "attention/v1/attention_service.pb.h"
#include "tests/server/bad_request_table.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using testing::Each;
using testing::FloatNear;

constexpr int64_t kTokens = 1024;
constexpr int64_t kWide = 512;  // kTokens x kWide floats are 2 MiB

class WantedResults : public RunningServer {
 protected:
  void SetUp() override { Start({.port = 0, .threads = 2, .max_working_mib = 1}); }

  // The first of many tokens, with projections of these widths.
  static v1::ComputeAttentionRequest Learned(int64_t q, int64_t k, int64_t v) {
    v1::ComputeAttentionRequest request = FromTokens(Ones({kTokens, 1}));
    v1::ProjectionWeights& weights = *request.mutable_tokens()->mutable_projection_weights();
    *weights.mutable_q_proj() = Ones({1, q});
    *weights.mutable_k_proj() = Ones({1, k});
    *weights.mutable_v_proj() = Ones({1, v});
    return request;
  }

  void ExpectTooLargeWith(v1::ComputeAttentionRequest request, v1::Result result) const {
    request.add_results(result);
    EXPECT_EQ(client_->ComputeAttention(request).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
};

TEST_F(WantedResults, AKeyAloneNeedsNoQueryAndNoValue) {
  v1::ComputeAttentionRequest request = Learned(kWide, 1, kWide);
  request.mutable_config()->set_num_heads(kWide);
  request.mutable_config()->set_num_kv_heads(1);
  request.add_results(v1::RESULT_KEY);
  EXPECT_THAT(Floats(Compute(request).key(), {1, 1, kTokens, 1}), Each(1.0f));
  ExpectTooLargeWith(request, v1::RESULT_QUERY);
  ExpectTooLargeWith(request, v1::RESULT_VALUE);
}

TEST_F(WantedResults, AQueryAloneNeedsNoKey) {
  v1::ComputeAttentionRequest request = Learned(kWide, kWide, 1);
  request.add_query_indices(0);
  request.add_results(v1::RESULT_QUERY);
  EXPECT_THAT(Floats(Compute(request).query(), {1, 1, 1, kWide}), Each(1.0f));
  ExpectTooLargeWith(request, v1::RESULT_KEY);
  ExpectTooLargeWith(request, v1::RESULT_ATTENTION_SCORES);
}

TEST_F(WantedResults, AttentionWeightsAloneNeedNoValue) {
  v1::ComputeAttentionRequest request = Learned(1, 1, kWide);
  request.add_query_indices(0);
  request.add_results(v1::RESULT_ATTENTION_WEIGHTS);
  EXPECT_THAT(Floats(Compute(request).attention_weights(), {1, 1, 1, kTokens}),
              Each(FloatNear(1.0f / kTokens, 1e-9)));
  ExpectTooLargeWith(request, v1::RESULT_OUTPUT);
  ExpectTooLargeWith(request, v1::RESULT_WEIGHTED_VALUES);
}

TEST_F(WantedResults, AWeightedValueAloneNeedsNoOperator) {
  v1::ComputeAttentionRequest request;
  *request.mutable_weighted()->mutable_attention_weights() = Ones({16, kTokens});
  *request.mutable_weighted()->mutable_value() = Ones({kTokens, kWide});
  request.add_results(v1::RESULT_VALUE);
  EXPECT_THAT(Floats(Compute(request).value(), {1, 1, kTokens, kWide}), Each(1.0f));
  ExpectTooLargeWith(request, v1::RESULT_OUTPUT);
}

}  // namespace
}  // namespace attention
