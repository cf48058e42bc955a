#include "client/connections.h"

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "client/attention_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"

namespace attention::client {
namespace {

// Answers only once `count` calls are there at the same time.
class Rendezvous {
 public:
  explicit Rendezvous(int count) : all_(count) {}
  grpc::Status operator()(const v1::ComputeAttentionRequest&, v1::ComputeAttentionResponse&) {
    all_.arrive_and_wait();
    return grpc::Status::OK;
  }

 private:
  std::latch all_;
};

// The connections over which so many calls of so many bytes go that are in flight together.
size_t ConnectionsOf(int calls, size_t bytes, int connections) {
  Rendezvous meet(calls);
  FakeServer server(
      [&meet](const auto& request, auto& response) { return meet(request, response); });
  const auto client =
      AttentionClient::Create({.target = server.target(), .connections = connections});
  std::vector<std::thread> threads;
  for (int i = 0; i < calls; ++i) {
    threads.emplace_back([&client, bytes] {
      v1::ComputeAttentionRequest request;
      request.mutable_tokens()->mutable_tokens()->set_data(std::string(bytes, 'x'));
      EXPECT_TRUE(client->ComputeAttention(request).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  return server.connections();
}

TEST(Connections, SharesLargeCallsOutOverItsConnectionsAndKeepsSmallOnesTogether) {
  EXPECT_EQ(ConnectionsOf(4, size_t{1} << 20, 4), 4u);
  EXPECT_EQ(ConnectionsOf(4, size_t{1} << 20, 2), 2u);
  EXPECT_EQ(ConnectionsOf(4, 1000, 4), 1u);
}

TEST(Connections, LeavesServersAloneThatSayTheyAreNotServing) {
  std::atomic<int> of_first = 0, of_second = 0;
  FakeServer first([&](const auto&, auto&) { return ++of_first, grpc::Status::OK; });
  FakeServer second([&](const auto&, auto&) { return ++of_second, grpc::Status::OK; });
  const AttentionClient client = ClientOf("ipv4:" + first.target() + "," + second.target());
  const auto call_both = [&] {
    of_first = of_second = 0;
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(client.ComputeAttention({}).ok());
  };
  // Until both are connected, and until the change has come.
  for (call_both(); of_first == 0 || of_second == 0; call_both()) {
  }
  first.SetServing(false);
  for (call_both(); of_first > 0; call_both()) {
  }
  EXPECT_EQ(of_second, 10);
  first.SetServing(true);
  for (call_both(); of_first == 0; call_both()) {
  }
}

// A server says so before it stops, and serves on for a while.
TEST(Connections, CallsAServerThatIsNotServingWhereThereIsNoOther) {
  FakeServer server(EchoTokens);
  const AttentionClient client = ClientOf(server.target());
  EXPECT_TRUE(client.ComputeAttention({}).ok());
  server.SetServing(false);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(client.ComputeAttention({}).ok());
  const AttentionClient late = ClientOf(server.target());
  EXPECT_TRUE(late.ComputeAttention({}).ok());
  AttentionStream stream = late.StreamAttention();
  EXPECT_TRUE(stream.Write({}));
  EXPECT_TRUE(stream.Read().has_value());
}

TEST(Connections, HedgesACallThatTakesLong) {
  std::atomic<int> calls = 0;
  absl::Notification end;
  FakeServer server([&](const auto&, auto&) {
    if (++calls == 1) end.WaitForNotification();
    return grpc::Status::OK;
  });
  auto client =
      AttentionClient::Create({.target = server.target(), .hedge_after = absl::Milliseconds(20)});
  EXPECT_TRUE(client->ComputeAttention({}).ok()) << "while the first still waits";
  EXPECT_EQ(calls, 2);
  end.Notify();
  EXPECT_TRUE(client->ComputeAttention({}).ok());
  calls = 0;
  client = AttentionClient::Create({.target = server.target(), .hedge_after = absl::Hours(1)});
  EXPECT_TRUE(client->ComputeAttention({}).ok());
  EXPECT_EQ(calls, 1) << "that did not take long";
}

}  // namespace
}  // namespace attention::client
