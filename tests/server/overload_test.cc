// More work than the server can do, callers who leave, and calls that are too late.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using testing::HasSubstr;

class Overload : public RunningServer {
 protected:
  void SetUp() override { Start({.port = 0, .threads = 1, .drain = absl::Milliseconds(200)}); }

  // About len * len * width operations, times four.
  static v1::ComputeAttentionRequest Tokens(int64_t len, int64_t width = 64) {
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() =
        client::MakeTensor({len, width}, std::vector<float>(len * width, 0.01f));
    request.add_results(v1::RESULT_OUTPUT);
    return request;
  }
  // Minutes, on one thread.
  static v1::ComputeAttentionRequest Endless() { return Tokens(131072, 100); }

  engine::Scheduler::Load Load() const { return server_->load(); }

  static bool Await(const std::function<bool()>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (!condition() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
    return condition();
  }
  bool AwaitRunning(int64_t batches) const {
    return Await([&] { return Load().running_batches == batches; });
  }
};

TEST_F(Overload, ACallStopsBetweenTilesWhenItsCallerLeaves) {
  const auto stub = v1::AttentionService::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  std::thread caller([&] {
    v1::ComputeAttentionResponse response;
    const grpc::Status status = stub->ComputeAttention(&context, Endless(), &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  });
  EXPECT_TRUE(AwaitRunning(1));
  EXPECT_GT(Load().message_bytes, 131072 * 100 * 4) << "its request";
  context.TryCancel();
  caller.join();
  EXPECT_TRUE(AwaitRunning(0));
  EXPECT_TRUE(Await([&] { return Load().message_bytes == 0; }));
  Compute(Tokens(2));
}

TEST_F(Overload, ACallStopsBetweenTilesAtItsDeadline) {
  EXPECT_EQ(client_->ComputeAttention(Endless(), absl::Seconds(2)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(AwaitRunning(0));
  Compute(Tokens(2));
}

TEST_F(Overload, ACallThatWaitsLeavesTheQueueWithItsCaller) {
  std::thread running(
      [&] { EXPECT_FALSE(client_->ComputeAttention(Endless(), absl::Minutes(10)).ok()); });
  EXPECT_TRUE(AwaitRunning(1));
  std::thread waiting([&] {
    EXPECT_EQ(client_->ComputeAttention(Tokens(8000), absl::Seconds(1)).status().code(),
              absl::StatusCode::kDeadlineExceeded);
  });
  EXPECT_TRUE(Await([&] { return Load().waiting_calls == 1; }));
  waiting.join();
  EXPECT_TRUE(Await([&] { return Load().waiting_calls == 0; }));
  EXPECT_EQ(Load().running_batches, 1);
  server_->Stop().IgnoreError();
  running.join();
}

// One thread: without a rule for small calls they would wait for minutes.
TEST_F(Overload, SmallCallsRunBetweenTheTilesOfAHugeOne) {
  std::thread huge(
      [&] { EXPECT_FALSE(client_->ComputeAttention(Endless(), absl::Minutes(10)).ok()); });
  EXPECT_TRUE(AwaitRunning(1));
  for (int i = 0; i < 20; ++i) {
    const auto response = client_->ComputeAttention(Tokens(1 + i), absl::Seconds(20));
    EXPECT_TRUE(response.ok()) << response.status();
  }
  EXPECT_EQ(Load().running_batches, 1) << "it still runs";
  server_->Stop().IgnoreError();
  huge.join();
}

TEST_F(Overload, ARefusalSaysWhenToTryAgain) {
  Start({.port = 0, .threads = 1, .max_queue = absl::Milliseconds(20)});
  Compute(Tokens(4000));  // so that the server knows how fast it is
  std::vector<std::thread> callers;
  std::atomic<int> answered = 0, refused = 0;
  const auto stub = v1::AttentionService::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  for (int i = 0; i < 12; ++i) {
    callers.emplace_back([&] {
      grpc::ClientContext context;
      v1::ComputeAttentionResponse response;
      const grpc::Status status = stub->ComputeAttention(&context, Tokens(4000), &response);
      if (status.ok()) {
        ++answered;
        return;
      }
      ++refused;
      EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
      EXPECT_THAT(status.error_message(), HasSubstr("--max_queue_ms"));
      google::rpc::Status details;
      ASSERT_TRUE(details.ParseFromString(status.error_details()));
      google::rpc::RetryInfo retry;
      for (const google::protobuf::Any& detail : details.details()) {
        if (detail.Is<google::rpc::RetryInfo>()) detail.UnpackTo(&retry);
      }
      const int64_t retry_ms =
          retry.retry_delay().seconds() * 1000 + retry.retry_delay().nanos() / 1'000'000;
      EXPECT_GT(retry_ms, 0);
      const auto& trailers = context.GetServerTrailingMetadata();
      const auto pushback = trailers.find("grpc-retry-pushback-ms");
      ASSERT_NE(pushback, trailers.end());
      int64_t pushback_ms = 0;
      EXPECT_TRUE(absl::SimpleAtoi(
          absl::string_view(pushback->second.data(), pushback->second.size()), &pushback_ms));
      EXPECT_EQ(pushback_ms, retry_ms);
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(answered, 0);
  EXPECT_GT(refused, 0);
  Compute(Tokens(4000));
}

TEST_F(Overload, ACallThatCannotMakeItsDeadlineIsRefusedAtOnce) {
  Compute(Tokens(4000));  // so that the server knows how fast it is
  const absl::Time before = absl::Now();
  const absl::Status status = client_->ComputeAttention(Endless(), absl::Seconds(15)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the call would be through in about"));
  EXPECT_LT(absl::Now() - before, absl::Seconds(14));
}

}  // namespace
}  // namespace attention
