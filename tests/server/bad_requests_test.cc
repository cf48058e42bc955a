// Requests that must be refused: the code, the field, a message with what was got and what is
// wanted, and a server that goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "client/call_status.h"
#include "client/tensor.h"
#include "tests/server/bad_request_table.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using Request = v1::ComputeAttentionRequest;
using testing::HasSubstr;

class BadRequests : public RunningServer {
 protected:
  void ExpectRefused(const std::vector<BadRequest>& table) const {
    for (const BadRequest& bad : table) {
      SCOPED_TRACE(bad.name);
      const auto response = client_->ComputeAttention(bad.request);
      ASSERT_FALSE(response.ok());
      EXPECT_EQ(response.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(response.status().message()), HasSubstr(bad.got_want));
      EXPECT_THAT(std::string(response.status().message()), HasSubstr(bad.field));
      const auto violations = client::FieldViolations(response.status());
      ASSERT_EQ(violations.size(), 1);
      EXPECT_EQ(violations[0].field(), bad.field);
      EXPECT_THAT(violations[0].description(), HasSubstr(bad.got_want));
      EXPECT_TRUE(client_->ComputeAttention(SimpleRequest()).ok()) << "the next call works";
    }
  }
};

TEST_F(BadRequests, TensorsThatDoNotHoldTogether) { ExpectRefused(BadTensors()); }
TEST_F(BadRequests, SourcesThatDoNotFit) { ExpectRefused(BadSources()); }
TEST_F(BadRequests, SettingsOutOfRange) { ExpectRefused(BadSettings()); }
TEST_F(BadRequests, LengthsThatDoNotAddUp) { ExpectRefused(BadLengths()); }
TEST_F(BadRequests, SettingsOfTheOperatorOutOfRange) { ExpectRefused(BadOperatorSettings()); }

TEST_F(BadRequests, TheTableHoldsAtLeastFortyCases) {
  EXPECT_GE(BadTensors().size() + BadSources().size() + BadSettings().size(), 40);
}

TEST_F(BadRequests, OnlyNumbersThatMayBeTokenIdsAreTakenForSuch) {
  for (const std::vector<float>& numbers :
       {std::vector<float>{101, 2023.5f}, std::vector<float>{101, -1},
        std::vector<float>{101, std::numeric_limits<float>::infinity()}}) {
    const absl::Status status =
        client_->ComputeAttention(FromTokens(MakeTensor({2}, numbers))).status();
    EXPECT_THAT(std::string(status.message()),
                testing::EndsWith("want [q_len, d_model] or [batch, q_len, d_model]"));
  }
  // Embeddings may well be whole numbers.
  EXPECT_TRUE(client_->ComputeAttention(FromTokens(MakeTensor({2, 2}, {101, 7, 0, 102}))).ok());
}

TEST_F(BadRequests, ARowThatSumsToZeroIsTheCallersFaultAndNamed) {
  Request request = FromTokens(MakeTensor({2, 1}, {1.0f, -1.0f}));
  request.mutable_config()->set_normalization(v1::NORMALIZATION_SUM);
  const absl::Status status = client_->ComputeAttention(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("in sequence 0: the attention scores of query 0 in head 0 sum to 0; "
                        "normalization SUM wants a sum other than 0"));
  EXPECT_EQ(client::FieldViolations(status).size(), 1);
  EXPECT_TRUE(client_->ComputeAttention(SimpleRequest()).ok());
}

TEST_F(BadRequests, AMessageOverTheLimitIsRefusedAsAField) {
  Start({.port = 0, .threads = 1, .max_message_mib = 1});
  ExpectRefused({{"ALittleOver", FromTokens(Ones({1 << 9, 1 << 9})), "request",
                  "bytes; want at most 1048576 (--max_message_mib)"}});
}

TEST_F(BadRequests, AMessageFarOverTheLimitIsRefusedByGrpcBeforeItIsRead) {
  Start({.port = 0, .threads = 1, .max_message_mib = 1});
  const absl::Status status = client_->ComputeAttention(FromTokens(Ones({1 << 9, 640}))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max_message_mib"));
  EXPECT_TRUE(client_->ComputeAttention(SimpleRequest()).ok());
}

// 2047 MiB and a quarter are more than an int holds, which is what gRPC takes.
TEST_F(BadRequests, TheLargestLimitStillServes) {
  Start({.port = 0, .threads = 1, .max_message_mib = 2047});
  EXPECT_TRUE(client_->ComputeAttention(SimpleRequest()).ok());
}

TEST_F(BadRequests, ACallThatNeedsTooMuchMemoryIsRefused) {
  // 8 KiB a projection matrix, but 1 GiB of projected keys and as much of values.
  Request request = FromTokens(Ones({131072, 1}));
  v1::ProjectionWeights& weights = *request.mutable_tokens()->mutable_projection_weights();
  *weights.mutable_q_proj() = Ones({1, 2048});
  *weights.mutable_k_proj() = Ones({1, 2048});
  *weights.mutable_v_proj() = Ones({1, 2048});
  request.add_results(v1::RESULT_OUTPUT);
  request.add_query_indices(0);
  const absl::Status status = client_->ComputeAttention(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("MiB for intermediate results; this server grants a call"));
  EXPECT_TRUE(client_->ComputeAttention(SimpleRequest()).ok());
}

}  // namespace
}  // namespace attention
