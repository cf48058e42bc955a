// Which key/value head a query head reads, by hand: the float64 reference takes that from
// AttentionShape as the operator does, so the two would err alike.
//
// Four query heads share two key/value heads, heads 0 and 1 the first, heads 2 and 3 the second;
// each is one number wide, and scores are divided by their sum. For one query and two keys:
//
//   head  query  keys   scores  attention weights  values  output
//   0     1      1 3    1 3     0.25 0.75           4  8    7
//   1     2      1 3    2 6     0.25 0.75           4  8    7
//   2     3      1 1    3 3     0.5  0.5           10 20   15
//   3     4      1 1    4 4     0.5  0.5           10 20   15
#include <gtest/gtest.h>

#include <vector>

#include "client/tensor.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using Numbers = std::vector<float>;

class GroupedHeads : public RunningServer {
 protected:
  GroupedHeads() {
    config().set_num_heads(4);
    config().set_num_kv_heads(2);
    config().set_scale(1);
    config().set_normalization(v1::NORMALIZATION_SUM);
  }

  v1::AttentionConfig& config() { return *request_.mutable_config(); }

  void ExpectTheTable() const {
    const v1::ComputeAttentionResponse response = Compute(request_);
    EXPECT_EQ(Floats(response.attention_scores(), {1, 4, 1, 2}), (Numbers{1, 3, 2, 6, 3, 3, 4, 4}));
    EXPECT_EQ(Floats(response.attention_weights(), {1, 4, 1, 2}),
              (Numbers{0.25f, 0.75f, 0.25f, 0.75f, 0.5f, 0.5f, 0.5f, 0.5f}));
    EXPECT_EQ(Floats(response.output(), {1, 4}), (Numbers{7, 7, 15, 15}));
  }

  v1::ComputeAttentionRequest request_;
};

TEST_F(GroupedHeads, OfProjectedTokens) {
  v1::ProjectedSource& source = *request_.mutable_projected();
  *source.mutable_query() = MakeTensor({1, 4}, Numbers{1, 2, 3, 4});
  *source.mutable_key() = MakeTensor({2, 2}, Numbers{1, 1, 3, 1});
  *source.mutable_value() = MakeTensor({2, 2}, Numbers{4, 10, 8, 20});
  ExpectTheTable();
}

// The one query token is {1}, the two key tokens are {1, 0} and {0, 1}, so that the rows of each
// projection are the tokens' queries, keys and values.
TEST_F(GroupedHeads, OfTokensWithLearnedProjections) {
  v1::TokensSource& source = *request_.mutable_tokens();
  *source.mutable_tokens() = MakeTensor({1, 1}, Numbers{1});
  *source.mutable_context() = MakeTensor({2, 2}, Numbers{1, 0, 0, 1});
  v1::ProjectionWeights& weights = *source.mutable_projection_weights();
  *weights.mutable_q_proj() = MakeTensor({1, 4}, Numbers{1, 2, 3, 4});
  *weights.mutable_k_proj() = MakeTensor({2, 2}, Numbers{1, 1, 3, 1});
  *weights.mutable_v_proj() = MakeTensor({2, 2}, Numbers{4, 10, 8, 20});
  ExpectTheTable();
}

TEST_F(GroupedHeads, OfGivenAttentionWeights) {
  v1::ComputeAttentionRequest request;
  request.mutable_config()->set_num_kv_heads(2);
  *request.mutable_weighted()->mutable_attention_weights() =
      MakeTensor({1, 4, 1, 2}, Numbers{0.25f, 0.75f, 0.25f, 0.75f, 0.5f, 0.5f, 0.5f, 0.5f});
  *request.mutable_weighted()->mutable_value() = MakeTensor({1, 2, 2, 1}, Numbers{4, 8, 10, 20});
  request.add_results(v1::RESULT_OUTPUT);
  EXPECT_EQ(Floats(Compute(request).output(), {1, 4, 1, 1}), (Numbers{7, 7, 15, 15}));
}

}  // namespace
}  // namespace attention
