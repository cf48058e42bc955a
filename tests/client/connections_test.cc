#include "client/connections.h"

#include <atomic>
#include <functional>
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
  const auto client = AttentionClient::Create(
      {.target = server.target(), .retries = {.attempts = 1}, .connections = connections});
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

TEST(Connections, GivesASecondAttemptAnotherConnection) {
  const auto connections = Connections::Create({.connections = 2}, *ReadCredentials({}));
  const Connections::Place first = (*connections)->Take(1);
  EXPECT_EQ(&*(*connections)->Take(1), &*first) << "small calls share it";
  EXPECT_NE(&*(*connections)->Take(1, &*first), &*first);
  const auto single = Connections::Create({.connections = 1}, *ReadCredentials({}));
  const Connections::Place only = (*single)->Take(1);
  EXPECT_EQ(&*(*single)->Take(1, &*only), &*only);
}

TEST(Connections, GivesCallsToIdleConnectionsFirst) {
  const auto connections = Connections::Create({.connections = 3}, *ReadCredentials({}));
  const Connections::Place first = (*connections)->Take(Connections::kManyBytes);
  const Connections::Place second = (*connections)->Take(Connections::kManyBytes);
  const Connections::Place third = (*connections)->Take(Connections::kManyBytes / 2);
  EXPECT_NE(&*first, &*second);
  EXPECT_NE(&*first, &*third);
  EXPECT_NE(&*second, &*third);
  EXPECT_EQ(&*(*connections)->Take(Connections::kManyBytes), &*third) << "it has the least";
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
  const auto until = [&](const std::function<bool()>& holds) {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    for (call_both(); !holds() && absl::Now() < deadline; call_both()) {
    }
    EXPECT_TRUE(holds());
  };
  until([&] { return of_first > 0 && of_second > 0; });
  first.SetServing(false);
  until([&] { return of_first == 0 && of_second == 10; });
  first.SetServing(true);
  until([&] { return of_first > 0; });
}

// A server says so before it stops, and serves on for a while.
TEST(Connections, CallsAServerThatIsNotServingWhereThereIsNoOther) {
  FakeServer server(EchoTokens);
  const AttentionClient client = ClientOf(server.target());
  EXPECT_TRUE(client.ComputeAttention({}).ok());
  server.SetServing(false);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(client.ComputeAttention({}).ok());
  EXPECT_TRUE(ClientOf(server.target()).ComputeAttention({}).ok());
  const AttentionClient late = ClientOf(server.target());
  AttentionStream stream = late.StreamAttention();
  EXPECT_TRUE(stream.Write({}));
  EXPECT_TRUE(stream.Read().has_value());
  EXPECT_TRUE(stream.Finish().ok());
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
