// When memory is taken for a call, how much of it, and what happens where there is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "server/rpc/attention/decode_request.h"
#include "tests/server/allocations.h"
#include "tests/server/bad_request_table.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using testing::HasSubstr;
using Then = AllocationWatch::Then;

TEST(DecodeRequest, AllocatesNothingThatGrowsWithWhatABadRequestClaims) {
  const auto layers = engine::LayerStore::Open({});
  ASSERT_TRUE(layers.ok()) << layers.status();
  for (const auto& table :
       {BadTensors(), BadSources(), BadSettings(), BadLengths(), BadOperatorSettings()}) {
    for (const BadRequest& bad : table) {
      SCOPED_TRACE(bad.name);
      ForgetAllocations();
      const bool accepted = rpc::DecodeRequest(bad.request, {}, **layers).ok();
      const size_t largest = LargestAllocation();
      EXPECT_FALSE(accepted);
      EXPECT_GT(largest, 0) << "even the error takes some";
      EXPECT_LT(largest, 64 << 10);
    }
  }
}

class Memory : public RunningServer {
 protected:
  // With one thread, so that the calls compute one after the other.
  void SetUp() override {
    Start({.port = 0, .threads = 1, .max_working_mib = 16, .drain = absl::Seconds(5)});
  }

  static v1::ComputeAttentionRequest Scores(int64_t len) {
    v1::ComputeAttentionRequest request = FromTokens(Ones({len, 1}));
    request.add_results(v1::RESULT_ATTENTION_SCORES);
    return request;
  }
  static size_t ScoreBytes(int64_t len) { return len * len * sizeof(float); }

  absl::Status Call(const v1::ComputeAttentionRequest& request) const {
    return client_->ComputeAttention(request, absl::Seconds(20)).status();
  }
};

// Once responses were allocated, and filled with zeros, on gRPC's threads as the calls came in: 30
// calls in the queue held 1.9 GB.
TEST_F(Memory, AResponseTakesMemoryWhenTheTurnOfItsCallHasCome) {
  AllocationWatch first_response(ScoreBytes(301), Then::kHold);
  std::thread first([&] { EXPECT_TRUE(Call(Scores(301)).ok()); });
  while (first_response.count() == 0) std::this_thread::yield();

  AllocationWatch second_response(ScoreBytes(403), Then::kGrant);
  std::thread second([&] { EXPECT_TRUE(Call(Scores(403)).ok()); });
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(second_response.count(), 0) << "the compute thread is still at the first";

  first_response.Release();
  first.join();
  second.join();
  EXPECT_GT(second_response.count(), 0);
}

TEST_F(Memory, ACallThatNeedsTooMuchIsRefusedWithoutWaitingForItsTurn) {
  // 8 KiB a projection matrix, but 32 MiB of projected keys.
  v1::ComputeAttentionRequest large = FromTokens(Ones({4096, 1}));
  v1::ProjectionWeights& weights = *large.mutable_tokens()->mutable_projection_weights();
  *weights.mutable_q_proj() = Ones({1, 2048});
  *weights.mutable_k_proj() = Ones({1, 2048});
  *weights.mutable_v_proj() = Ones({1, 2048});
  large.add_results(v1::RESULT_OUTPUT);

  AllocationWatch first_response(ScoreBytes(301), Then::kHold);
  std::thread first([&] { EXPECT_TRUE(Call(Scores(301)).ok()); });
  while (first_response.count() == 0) std::this_thread::yield();
  AllocationWatch response(4096 * 2048 * sizeof(float), Then::kGrant);
  const absl::Status status = Call(large);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("MiB for intermediate results; this server grants a call 16 MiB"));
  EXPECT_EQ(response.count(), 0);
  first_response.Release();
  first.join();
}

// Making the operator of so wide a weight once took gigabytes, before any limit was looked at.
TEST_F(Memory, AWeightThatIsTooWideIsRefusedBeforeAnOperatorIsMade) {
  constexpr int64_t kWide = 1 << 20;
  v1::ComputeAttentionRequest request = FromTokens(Ones({1, kWide}));
  v1::ProjectionWeights& weights = *request.mutable_tokens()->mutable_projection_weights();
  *weights.mutable_q_proj() = Ones({kWide, 1});
  *weights.mutable_k_proj() = Ones({kWide, 1});
  *weights.mutable_v_proj() = Ones({kWide, 1});
  request.add_results(v1::RESULT_OUTPUT);
  const absl::Status status = Call(request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has 1048576 rows; want at most 131072"));
}

// An exception from decoding once passed through gRPC, and the call counted as in flight for ever.
TEST_F(Memory, NoneForDecodingRefusesTheCallAndCountsItOut) {
  constexpr int kKeys = 10007;
  v1::ComputeAttentionRequest request = FromTokens(Ones({kKeys, 1}));
  request.add_results(v1::RESULT_OUTPUT);
  request.add_query_indices(0);
  v1::Tensor& mask = *request.mutable_config()->mutable_mask();  // copied, a byte each
  mask.set_data_type(v1::DATA_TYPE_BOOL);
  mask.add_shape(kKeys);
  mask.mutable_float_values()->Resize(kKeys, 1.0f);
  {
    AllocationWatch copied_mask(kKeys, Then::kFail);
    EXPECT_EQ(Call(request).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(copied_mask.count(), 1);
  }
  EXPECT_TRUE(Call(request).ok());
  EXPECT_TRUE(server_->Stop().ok()) << "no call is in flight";
}

TEST_F(Memory, NoneForTheResultsRefusesTheCallAlone) {
  {
    AllocationWatch response(ScoreBytes(101), Then::kFail);
    EXPECT_EQ(Call(Scores(101)).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(response.count(), 1);
  }
  EXPECT_TRUE(Call(Scores(101)).ok());
}

}  // namespace
}  // namespace attention
