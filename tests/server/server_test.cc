// The server as its callers and its operators meet it: health, load, stopping.
#include "server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/kernels/problem.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

class ServerTest : public RunningServer {
 protected:
  static v1::ComputeAttentionRequest Tokens(int64_t len, unsigned seed) {
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() = MakeTensor({len, 8}, RandomFloats(len * 8, seed));
    request.add_results(v1::RESULT_OUTPUT);
    return request;
  }

  std::shared_ptr<grpc::Channel> Channel() const {
    return grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  }
};

TEST_F(ServerTest, IsHealthyAsAWholeAndByService) {
  EXPECT_TRUE(client_->CheckHealth().ok());
  EXPECT_TRUE(client_->CheckHealth("attention.v1.AttentionService").ok());
  EXPECT_TRUE(client_->CheckHealth("attention.v1.EncoderService").ok());
  EXPECT_EQ(client_->CheckHealth("no.such.Service").code(), absl::StatusCode::kNotFound);
}

TEST_F(ServerTest, AHealthWatchIsToldOfTheStopAndDoesNotDelayIt) {
  const auto stub = Health::NewStub(Channel());
  grpc::ClientContext context;
  HealthCheckRequest request;
  HealthCheckResponse response;
  const auto watch = stub->Watch(&context, request);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  const absl::Time before = absl::Now();
  EXPECT_TRUE(server_->Stop().ok());
  EXPECT_LT(absl::Now() - before, absl::Seconds(20)) << "less than the drain limit";
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(watch->Read(&response));
}

TEST_F(ServerTest, CallsInFlightFinishWhenItStops) {
  std::atomic<bool> started = false;
  std::atomic<int> answered = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&, i] {
      for (;;) {
        const auto response = client_->ComputeAttention(Tokens(700, i));
        if (!response.ok()) {
          EXPECT_EQ(response.status().code(), absl::StatusCode::kUnavailable)
              << "a call is answered or was never taken: " << response.status();
          return;
        }
        ++answered;
        started = true;
      }
    });
  }
  while (!started) std::this_thread::yield();
  EXPECT_TRUE(server_->Stop().ok());
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(answered, 0);
}

// Stopping once waited for calls to the end, however long they computed: 28 s with a drain of 1 s.
TEST_F(ServerTest, StoppingCutsOffWhatIsNotThroughWhenTheDrainHasPassed) {
  Start({.port = 0, .threads = 1, .drain = absl::Milliseconds(200)});
  v1::ComputeAttentionRequest endless;  // minutes, on one thread
  *endless.mutable_tokens()->mutable_tokens() =
      MakeTensor({131072, 100}, std::vector<float>(131072 * 100, 0.01f));
  endless.add_results(v1::RESULT_OUTPUT);
  std::thread caller([&] {
    const absl::Status status = client_->ComputeAttention(endless, absl::Minutes(10)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("the server is shutting down"));
  });
  absl::SleepFor(absl::Seconds(1));  // it computes now; the time does not matter
  const absl::Time before = absl::Now();
  EXPECT_EQ(server_->Stop().code(), absl::StatusCode::kDeadlineExceeded);
  server_.reset();
  EXPECT_LT(absl::Now() - before, absl::Seconds(10));
  caller.join();
}

TEST_F(ServerTest, ASecondServerOnTheSamePortIsToldThatItIsInUse) {
  const std::string& address = server_->address();
  const int port = std::stoi(address.substr(address.rfind(':') + 1));
  const absl::Status status = Server::Start({.port = port, .threads = 1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("the port is in use"));
  EXPECT_TRUE(client_->CheckHealth().ok());
}

TEST_F(ServerTest, GivesTheSameBytesAloneAndUnderLoad) {
  std::vector<std::string> alone;
  for (unsigned i = 0; i < 8; ++i) alone.push_back(Compute(Tokens(50 + i, i)).output().data());
  std::vector<std::thread> callers;
  for (unsigned i = 0; i < 8; ++i) {
    callers.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) {
        EXPECT_EQ(Compute(Tokens(50 + i, i)).output().data(), alone[i]);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST_F(ServerTest, GivesTheSameBytesWithOneThread) {
  const std::string two = Compute(Tokens(300, 1)).output().data();
  Start({.port = 0, .threads = 1});
  EXPECT_EQ(Compute(Tokens(300, 1)).output().data(), two);
}

TEST_F(ServerTest, TellsWhereTheTimeWent) {
  const v1::Timing timing = Compute(Tokens(300, 1)).timing();
  EXPECT_TRUE(timing.has_queue() && timing.has_decode() && timing.has_prepare());
  EXPECT_GT(timing.compute().nanos(), 0);
}

TEST_F(ServerTest, ErrorsCarryDetailsThatStandardClientsDecode) {
  const auto stub = v1::AttentionService::NewStub(Channel());
  grpc::ClientContext context;
  v1::ComputeAttentionResponse response;
  const grpc::Status status = stub->ComputeAttention(&context, {}, &response);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(details.message(), status.error_message());
  google::rpc::BadRequest bad_request;
  google::rpc::ErrorInfo info;
  for (const google::protobuf::Any& detail : details.details()) {
    if (detail.Is<google::rpc::BadRequest>()) detail.UnpackTo(&bad_request);
    if (detail.Is<google::rpc::ErrorInfo>()) detail.UnpackTo(&info);
  }
  ASSERT_EQ(bad_request.field_violations_size(), 1);
  EXPECT_EQ(bad_request.field_violations(0).field(), "source");
  EXPECT_EQ(info.reason(), "INVALID_ARGUMENT");
  EXPECT_EQ(info.domain(), "attention.v1");
}

}  // namespace
}  // namespace attention
