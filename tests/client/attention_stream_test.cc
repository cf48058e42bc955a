#include "client/attention_stream.h"

#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "client/attention_client.h"
#include "client/call_status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"

namespace attention::client {
namespace {

using ::testing::HasSubstr;

TEST(AttentionStream, CarriesManyCalls) {
  FakeServer server([](const v1::ComputeAttentionRequest& request, auto& response) {
    if (request.request_id() == "3") {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "is bad");
    }
    return EchoTokens(request, response);
  });
  const AttentionClient client = ClientOf(server.target());
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

TEST(AttentionStream, EndsWhereItIsLeft) {
  FakeServer server(EchoTokens);
  const AttentionClient client = ClientOf(server.target());
  {
    AttentionStream stream = client.StreamAttention();
    EXPECT_TRUE(stream.Write({}));
    EXPECT_TRUE(stream.Read().has_value());
  }
  EXPECT_TRUE(server.cancelled().WaitForNotificationWithTimeout(absl::Seconds(60)));
}

TEST(AttentionStream, FinishesWhatWasLeftOpen) {
  FakeServer server(EchoTokens);
  const AttentionClient client = ClientOf(server.target());
  AttentionStream stream = client.StreamAttention();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(stream.Write({}));
  EXPECT_TRUE(stream.Finish().ok()) << "though nothing was read, and no end was said";
  EXPECT_FALSE(stream.Write({}));
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_EQ(stream.Finish().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(AttentionStream, EndsWithItsTimeoutAndWithCancel) {
  absl::Notification end;
  FakeServer server([&](const auto&, auto&) {
    end.WaitForNotification();
    return grpc::Status::OK;
  });
  const AttentionClient client = ClientOf(server.target());
  AttentionStream stream = client.StreamAttention(absl::Milliseconds(100));
  EXPECT_TRUE(stream.Write({}));
  EXPECT_EQ(stream.Finish().code(), absl::StatusCode::kDeadlineExceeded);
  AttentionStream other = client.StreamAttention();
  EXPECT_TRUE(other.Write({}));
  other.Cancel();
  EXPECT_EQ(other.Finish().code(), absl::StatusCode::kCancelled);
  end.Notify();
}

TEST(AttentionStream, FailsWhereNobodyIsThere) {
  const NoServer nobody;
  AttentionStream stream = ClientOf(nobody.target()).StreamAttention();
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_THAT(std::string(stream.Finish().message()), HasSubstr("no connection to"));
}

}  // namespace
}  // namespace attention::client
