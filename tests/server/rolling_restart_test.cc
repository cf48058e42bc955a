// Servers that are restarted one by one, while clients that know them all go on calling.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/tensor.h"
#include "server/server.h"

namespace attention {
namespace {

// As a client's service config: calls go round, and those that a server turns away go to another.
constexpr char kRoundRobinWithRetries[] = R"({
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{"service": "attention.v1.AttentionService"}],
    "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.01s", "maxBackoff": "0.5s",
                    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}
  }]$0
})";
constexpr char kHealthChecks[] = R"(, "healthCheckConfig": {"serviceName": ""})";

class RollingRestart : public testing::TestWithParam<const char*> {
 protected:
  void Start(size_t i) {
    auto server = Server::Start({.port = ports_[i], .threads = 1});
    ASSERT_TRUE(server.ok()) << server.status();
    servers_[i] = *std::move(server);
    const std::string& address = servers_[i]->address();
    // The first time alone: callers read it, and it stays.
    if (ports_[i] == 0) ports_[i] = std::stoi(address.substr(address.rfind(':') + 1));
  }

  void Restart(size_t i) {
    servers_[i]->LeaveRotation();
    absl::SleepFor(absl::Milliseconds(200));
    EXPECT_TRUE(servers_[i]->Stop().ok());
    servers_[i].reset();
    Start(i);
  }

  // Calls until told to end, and counts how the calls ended.
  void Call() {
    grpc::ChannelArguments arguments;
    arguments.SetServiceConfigJSON(absl::Substitute(kRoundRobinWithRetries, GetParam()));
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // connections of its own
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
    const auto stub = v1::AttentionService::NewStub(grpc::CreateCustomChannel(
        absl::StrCat("ipv4:127.0.0.1:", ports_[0], ",127.0.0.1:", ports_[1]),
        grpc::InsecureChannelCredentials(), arguments));
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() = client::MakeTensor({1, 2}, {1, 2});
    std::map<std::string, int> ends;
    while (!end_) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      v1::ComputeAttentionResponse response;
      const grpc::Status status = stub->ComputeAttention(&context, request, &response);
      if (status.ok()) {
        ++answered_;
      } else {
        ++ends[absl::StrCat(status.error_code(), " ", status.error_message())];
      }
    }
    const absl::MutexLock lock(&mutex_);
    for (const auto& [end, count] : ends) failures_[end] += count;
  }

  std::array<int, 2> ports_ = {0, 0};
  std::array<std::unique_ptr<Server>, 2> servers_;
  std::atomic<bool> end_ = false;
  std::atomic<int> answered_ = 0;
  absl::Mutex mutex_;
  std::map<std::string, int> failures_ ABSL_GUARDED_BY(mutex_);
};

TEST_P(RollingRestart, LosesNoCall) {
  Start(0);
  Start(1);
  std::vector<std::thread> callers(4);
  for (std::thread& caller : callers) caller = std::thread([this] { Call(); });
  for (int round = 0; round < 3; ++round) {
    for (const size_t i : {0, 1}) {
      const int before = answered_;
      absl::SleepFor(absl::Seconds(1));
      Restart(i);
      EXPECT_GT(answered_, before);
    }
  }
  absl::SleepFor(absl::Seconds(1));
  end_ = true;
  for (std::thread& caller : callers) caller.join();
  const absl::MutexLock lock(&mutex_);
  EXPECT_THAT(failures_, testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Clients, RollingRestart, testing::Values("", kHealthChecks),
                         [](const auto& test) {
                           return *test.param == '\0' ? "WithoutHealthChecks" : "WithHealthChecks";
                         });

}  // namespace
}  // namespace attention
