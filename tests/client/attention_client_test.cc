#include "client/attention_client.h"

#include <atomic>
#include <chrono>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "client/call_status.h"
#include "client/tensor.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"

namespace attention::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

AttentionClient Client(const std::string& target) {
  return *AttentionClient::Create({.target = target, .timeout = absl::Seconds(20)});
}

grpc::Status EchoTokens(const v1::ComputeAttentionRequest& request,
                        v1::ComputeAttentionResponse& response) {
  response.set_request_id(request.request_id());
  *response.mutable_output() = request.tokens().tokens();
  return grpc::Status::OK;
}

std::string SerializedDetails(const std::vector<const google::protobuf::Message*>& details) {
  google::rpc::Status status;
  for (const google::protobuf::Message* detail : details) status.add_details()->PackFrom(*detail);
  return status.SerializeAsString();
}

absl::Status FailureOf(const grpc::Status& answer) {
  FakeServer server([&answer](const auto&, auto&) { return answer; });
  return Client(server.target()).ComputeAttention({}).status();
}

TEST(AttentionClient, CarriesRequestAndResponse) {
  FakeServer server(EchoTokens);
  const AttentionClient client = Client(server.target());
  v1::ComputeAttentionRequest request;
  request.set_request_id("7");
  *request.mutable_tokens()->mutable_tokens() = MakeTensor({1, 2}, {1, 2});
  absl::StatusOr<v1::ComputeAttentionResponse> response = client.ComputeAttention(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->request_id(), "7");
  EXPECT_THAT(*FloatValues(response->output()), testing::ElementsAre(1, 2));
}

TEST(AttentionClient, CarriesTensorsAboveFourMebibytesBothWays) {
  FakeServer server(EchoTokens);
  const std::vector<float> tokens(3 << 20, 0.5f);  // 12 MiB
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = MakeTensor({3 << 10, 1 << 10}, tokens);
  absl::StatusOr<v1::ComputeAttentionResponse> response =
      Client(server.target()).ComputeAttention(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(*FloatValues(response->output()), tokens);
}

TEST(AttentionClient, MapsEveryCodeToItself) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status =
        FailureOf(grpc::Status(static_cast<grpc::StatusCode>(code), "the server's words"));
    EXPECT_EQ(static_cast<int>(status.code()), code);
    EXPECT_EQ(status.message(), "the server's words");
  }
}

TEST(AttentionClient, KeepsTheDetailsAsPayloads) {
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("tokens.tokens.shape");
  violation->set_description("is [3]; want [q_len, d_model]");
  google::rpc::ErrorInfo error_info;
  error_info.set_reason("BAD_SHAPE");
  const absl::Status status =
      FailureOf(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad shape",
                             SerializedDetails({&bad_request, &error_info, &bad_request})));
  google::rpc::ErrorInfo received;
  ASSERT_TRUE(received.ParseFromString(
      std::string(*status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo"))));
  EXPECT_EQ(received.reason(), "BAD_SHAPE");
  const auto violations = FieldViolations(status);
  ASSERT_EQ(violations.size(), 2u);  // two details of one type are one list
  EXPECT_EQ(violations[0].field(), "tokens.tokens.shape");
  EXPECT_EQ(violations[1].description(), "is [3]; want [q_len, d_model]");
}

TEST(AttentionClient, LivesWithDetailsThatAreNone) {
  const absl::Status status =
      FailureOf(grpc::Status(grpc::StatusCode::INTERNAL, "broken", "\xff\xff\xff"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(FieldViolations(status).empty());
}

TEST(AttentionClient, SaysWhatToDoWhereNothingListens) {
  const NoServer nobody;
  const absl::Status status = Client(nobody.target()).ComputeAttention({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no connection to " + nobody.target() +
                                                       ": is attention_server running there"));
}

TEST(AttentionClient, LeavesTheWordsOfAServerThatIsThere) {
  EXPECT_EQ(FailureOf(grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining")),
            absl::UnavailableError("draining"));
  EXPECT_EQ(FailureOf(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue full")),
            absl::ResourceExhaustedError("queue full"));
}

TEST(AttentionClient, SaysHowToMendAMessageThatIsTooLarge) {
  FakeServer server(EchoTokens, /*max_receive_bytes=*/1000);
  const AttentionClient client = Client(server.target());
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = MakeTensor({1000}, std::vector<float>(1000));
  const absl::Status status = client.ComputeAttention(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max_message_mib"));
  EXPECT_TRUE(client.ComputeAttention({}).ok()) << "the next call works";
}

TEST(AttentionClient, StopsWaitingAtTheTimeout) {
  FakeServer server([](const auto&, auto&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return grpc::Status::OK;
  });
  const AttentionClient client = Client(server.target());
  EXPECT_TRUE(client.ComputeAttention({}).ok());
  EXPECT_EQ(client.ComputeAttention({}, absl::Milliseconds(50)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(client.ComputeAttention({}, absl::InfiniteDuration()).ok());
}

TEST(AttentionClient, TellsTheHealthOfTheServer) {
  FakeServer server(EchoTokens);
  const AttentionClient client = Client(server.target());
  EXPECT_TRUE(client.CheckHealth().ok());
  EXPECT_TRUE(client.CheckHealth("attention.v1.AttentionService").ok());
  EXPECT_EQ(client.CheckHealth("no.Service").code(), absl::StatusCode::kNotFound);
  server.SetServing(false);
  EXPECT_EQ(client.CheckHealth(),
            absl::UnavailableError("the server at " + server.target() + " is NOT_SERVING"));
}

TEST(AttentionClient, ServesManyThreads) {
  FakeServer server(EchoTokens);
  const AttentionClient client = Client(server.target());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&client, i] {
      v1::ComputeAttentionRequest request;
      request.set_request_id(std::to_string(i));
      for (int call = 0; call < 20; ++call) {
        EXPECT_EQ(client.ComputeAttention(request)->request_id(), request.request_id());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

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

TEST(AttentionClient, SharesLargeCallsOutOverItsConnectionsAndKeepsSmallOnesTogether) {
  EXPECT_EQ(ConnectionsOf(4, size_t{1} << 20, 4), 4u);
  EXPECT_EQ(ConnectionsOf(4, size_t{1} << 20, 2), 2u);
  EXPECT_EQ(ConnectionsOf(4, 1000, 4), 1u);
}

TEST(AttentionClient, LeavesServersAloneThatSayTheyAreNotServing) {
  std::atomic<int> of_first = 0, of_second = 0;
  FakeServer first([&](const auto&, auto&) { return ++of_first, grpc::Status::OK; });
  FakeServer second([&](const auto&, auto&) { return ++of_second, grpc::Status::OK; });
  const AttentionClient client = Client("ipv4:" + first.target() + "," + second.target());
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
TEST(AttentionClient, CallsAServerThatIsNotServingWhereThereIsNoOther) {
  FakeServer server(EchoTokens);
  const AttentionClient client = Client(server.target());
  EXPECT_TRUE(client.ComputeAttention({}).ok());
  server.SetServing(false);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(client.ComputeAttention({}).ok());
  const AttentionClient late = Client(server.target());
  EXPECT_TRUE(late.ComputeAttention({}).ok());
  AttentionStream stream = late.StreamAttention();
  EXPECT_TRUE(stream.Write({}));
  EXPECT_TRUE(stream.Read().has_value());
}

TEST(AttentionClient, HedgesACallThatTakesLong) {
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

TEST(AttentionClient, StreamsManyCalls) {
  FakeServer server([](const v1::ComputeAttentionRequest& request, auto& response) {
    if (request.request_id() == "3") {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "is bad");
    }
    return EchoTokens(request, response);
  });
  const AttentionClient client = Client(server.target());
  AttentionStream stream = client.StreamAttention();
  std::thread writer([&stream] {
    v1::ComputeAttentionRequest request;
    for (int i = 0; i < 10; ++i) {
      request.set_request_id(std::to_string(i));
      EXPECT_TRUE(stream.Write(request));
    }
    stream.WritesDone();
  });
  std::vector<std::string> ids;
  while (const auto response = stream.Read()) {
    ids.push_back(response->request_id());
    EXPECT_EQ(FromGoogleStatus(response->error()),
              ids.back() == "3" ? absl::InvalidArgumentError("is bad") : absl::OkStatus());
  }
  writer.join();
  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_EQ(ids.size(), 10u);
}

TEST(AttentionClient, AStreamThatIsLeftEnds) {
  FakeServer server(EchoTokens);
  const AttentionClient client = Client(server.target());
  AttentionStream stream = client.StreamAttention();
  EXPECT_TRUE(stream.Write({}));
}

TEST(AttentionClient, AStreamToNobodyFails) {
  const NoServer nobody;
  AttentionStream stream = Client(nobody.target()).StreamAttention();
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_THAT(std::string(stream.Finish().message()), HasSubstr("no connection to"));
}

TEST(AttentionClient, WatchesTheHealth) {
  FakeServer server(EchoTokens);
  std::vector<std::string> states;
  const absl::Status status =
      Client(server.target()).WatchHealth("", [&](const std::string& state) {
        states.push_back(state);
        server.SetServing(states.size() > 1);
        return states.size() < 3;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(states, testing::ElementsAre("SERVING", "NOT_SERVING", "SERVING"));
}

TEST(AttentionClient, RefusesOptionsThatCannotWork) {
  EXPECT_THAT(std::string(AttentionClient::Create({.connections = 0}).status().message()),
              StartsWith("connections is 0; want 1 to 64"));
  EXPECT_THAT(
      std::string(
          AttentionClient::Create({.hedge_after = absl::ZeroDuration()}).status().message()),
      StartsWith("hedge_after is 0; want more than 0"));
  EXPECT_THAT(std::string(AttentionClient::Create({.target = ""}).status().message()),
              StartsWith("target is empty"));
  EXPECT_THAT(
      std::string(AttentionClient::Create({.timeout = absl::ZeroDuration()}).status().message()),
      StartsWith("timeout is 0"));
}

TEST(WithHint, KeepsCodeAndPayloads) {
  absl::Status status = absl::NotFoundError("no layer");
  status.SetPayload("key", absl::Cord("value"));
  const absl::Status hinted = WithHint(status, "upload it");
  EXPECT_EQ(hinted.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(hinted.message(), "no layer; upload it");
  EXPECT_EQ(hinted.GetPayload("key"), absl::Cord("value"));
}

}  // namespace
}  // namespace attention::client
