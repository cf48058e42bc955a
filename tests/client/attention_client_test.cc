#include "client/attention_client.h"

#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/call_status.h"
#include "client/tensor.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"
#include "tests/temporary_folder.h"

namespace attention::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string SerializedDetails(const std::vector<const google::protobuf::Message*>& details) {
  google::rpc::Status status;
  for (const google::protobuf::Message* detail : details) status.add_details()->PackFrom(*detail);
  return status.SerializeAsString();
}

// How a call to `target` ends.
absl::Status CallTo(const std::string& target) {
  return ClientOf(target).ComputeAttention({}).status();
}

absl::Status FailureOf(const grpc::Status& answer) {
  FakeServer server([&answer](const auto&, auto&) { return answer; });
  return ClientOf(server.target()).ComputeAttention({}).status();
}

TEST(AttentionClient, CarriesRequestAndResponse) {
  FakeServer server(EchoTokens);
  const AttentionClient client = ClientOf(server.target());
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
      ClientOf(server.target()).ComputeAttention(request);
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
  const absl::Status status = ClientOf(nobody.target()).ComputeAttention({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no connection to " + nobody.target() +
                                                       ": is attention_server running there"));
}

TEST(AttentionClient, CallsOverUnixSocketsAndAbstractOnes) {
  const TemporaryFolder folder;
  for (const std::string& target : {absl::StrCat("unix:", folder.File("a.sock")),
                                    absl::StrCat("unix://", folder.File("b.sock")),
                                    absl::StrCat("unix-abstract:attention.test.", getpid())}) {
    const FakeServer server(EchoTokens, /*max_receive_bytes=*/-1, target);
    EXPECT_TRUE(CallTo(target).ok()) << target << ": " << CallTo(target);
    EXPECT_TRUE(ClientOf(target).CheckHealth().ok()) << target;
  }
}

TEST(AttentionClient, SaysWhatToLookAtWhereNobodyListensOnAUnixSocket) {
  const absl::Status status = CallTo("unix:/none/attention.sock");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("no connection to unix:/none/attention.sock"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--unix_socket_mode"));
}

TEST(AttentionClient, LeavesTheWordsOfAServerThatIsThere) {
  EXPECT_EQ(FailureOf(grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining")),
            absl::UnavailableError("draining"));
  EXPECT_EQ(FailureOf(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue full")),
            absl::ResourceExhaustedError("queue full"));
}

TEST(AttentionClient, SaysHowToMendAMessageThatIsTooLarge) {
  FakeServer server(EchoTokens, /*max_receive_bytes=*/1000);
  const AttentionClient client = ClientOf(server.target());
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = MakeTensor({1000}, std::vector<float>(1000));
  const absl::Status status = client.ComputeAttention(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--max_message_mib"));
  EXPECT_TRUE(client.ComputeAttention({}).ok()) << "the next call works";
}

TEST(AttentionClient, SendsAndTakesNoMoreThanItsOwnLimit) {
  FakeServer server([](const v1::ComputeAttentionRequest& request, auto& response) {
    response.mutable_output()->set_data(std::string(request.top_k(), 'x'));
    return grpc::Status::OK;
  });
  const auto client = AttentionClient::Create(
      {.target = server.target(), .timeout = absl::Seconds(20), .max_message_bytes = 10'000});
  ASSERT_TRUE(client.ok()) << client.status();
  v1::ComputeAttentionRequest request;
  request.mutable_tokens()->mutable_tokens()->set_data(std::string(10'000, 'x'));
  const absl::Status sent = client->ComputeAttention(request).status();
  EXPECT_EQ(sent.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(sent.message()), HasSubstr("this client sends at most 10000"));
  request.clear_tokens();
  request.set_top_k(20'000);
  const absl::Status taken = client->ComputeAttention(request).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(taken.message()), HasSubstr("this client where it has a limit"));
  request.set_top_k(10'000);  // the rest of the answer is not counted
  EXPECT_TRUE(client->ComputeAttention(request).ok()) << "the next call works";
  for (const int64_t bytes : {int64_t{0}, kMostMessageBytes + 1}) {
    EXPECT_EQ(AttentionClient::Create({.max_message_bytes = bytes}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(AttentionClient, StopsWaitingAtTheTimeout) {
  FakeServer server([](const auto&, auto&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return grpc::Status::OK;
  });
  const AttentionClient client = ClientOf(server.target());
  EXPECT_TRUE(client.ComputeAttention({}).ok());
  EXPECT_EQ(client.ComputeAttention({}, absl::Milliseconds(50)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(client.ComputeAttention({}, absl::InfiniteDuration()).ok());
}

TEST(AttentionClient, TellsTheHealthOfTheServer) {
  FakeServer server(EchoTokens);
  const AttentionClient client = ClientOf(server.target());
  EXPECT_TRUE(client.CheckHealth().ok());
  EXPECT_TRUE(client.CheckHealth("attention.v1.AttentionService").ok());
  EXPECT_EQ(client.CheckHealth("no.Service").code(), absl::StatusCode::kNotFound);
  server.SetServing(false);
  EXPECT_EQ(client.CheckHealth(),
            absl::UnavailableError("the server at " + server.target() + " is NOT_SERVING"));
}

TEST(AttentionClient, ServesManyThreads) {
  FakeServer server(EchoTokens);
  const AttentionClient client = ClientOf(server.target());
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

TEST(AttentionClient, WatchesTheHealth) {
  FakeServer server(EchoTokens);
  std::vector<std::string> states;
  const absl::Status status =
      ClientOf(server.target()).WatchHealth("", [&](const std::string& state) {
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
