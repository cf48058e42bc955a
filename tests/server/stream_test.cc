// StreamAttention: many calls on one stream.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "tests/kernels/problem.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using Request = v1::ComputeAttentionRequest;
using Response = v1::ComputeAttentionResponse;

class Streaming : public RunningServer {
 protected:
  using Stream = grpc::ClientReaderWriter<Request, Response>;

  void SetUp() override { Begin({.port = 0, .threads = 2, .drain = absl::Seconds(5)}); }

  void Begin(const ServerOptions& options) {
    Start(options);
    stub_ = v1::AttentionService::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }

  static Request Tokens(int64_t len, int64_t width, const std::string& id) {
    Request request;
    request.set_request_id(id);
    *request.mutable_tokens()->mutable_tokens() =
        client::MakeTensor({len, width}, RandomFloats(len * width, static_cast<int>(len)));
    request.add_results(v1::RESULT_OUTPUT);
    return request;
  }

  static bool Await(const std::function<bool()>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (!condition() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
    return condition();
  }

  std::unique_ptr<v1::AttentionService::Stub> stub_;
};

TEST_F(Streaming, EveryCallIsAnsweredWithTheBytesOfAUnaryOne) {
  constexpr int kCalls = 300;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->StreamAttention(&context);
  std::thread writer([&] {
    for (int i = 0; i < kCalls; ++i)
      EXPECT_TRUE(stream->Write(Tokens(1 + i % 40, 8, absl::StrCat(i))));
    stream->WritesDone();
  });
  std::map<std::string, std::string> outputs;
  for (Response response; stream->Read(&response);) {
    EXPECT_FALSE(response.has_error());
    EXPECT_GT(response.timing().batch_calls(), 0);
    outputs[response.request_id()] = response.output().data();
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(outputs.size(), kCalls);
  for (int i = 0; i < kCalls; ++i) {
    EXPECT_EQ(outputs[absl::StrCat(i)], Compute(Tokens(1 + i % 40, 8, "")).output().data());
  }
}

TEST_F(Streaming, AnswersComeAsCallsFinishNotAsTheyCame) {
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->StreamAttention(&context);
  stream->Write(Tokens(6000, 64, "large"));
  stream->Write(Tokens(1, 8, "small"));
  stream->WritesDone();
  Response first, second;
  ASSERT_TRUE(stream->Read(&first));
  ASSERT_TRUE(stream->Read(&second));
  EXPECT_EQ(first.request_id(), "small");
  EXPECT_EQ(second.request_id(), "large");
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(Streaming, ACallThatFailsIsAnsweredWithItsErrorAndTheStreamGoesOn) {
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->StreamAttention(&context);
  Request bad = Tokens(3, 8, "bad");
  bad.add_query_indices(3);
  stream->Write(bad);
  Response response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.request_id(), "bad");
  EXPECT_FALSE(response.has_output());
  EXPECT_EQ(response.error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::BadRequest violations;
  ASSERT_GT(response.error().details_size(), 0);
  ASSERT_TRUE(response.error().details(0).UnpackTo(&violations));
  EXPECT_EQ(violations.field_violations(0).field(), "query_indices[0]");
  stream->Write(Tokens(3, 8, "good"));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.request_id(), "good");
  EXPECT_FALSE(response.has_error());
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

// Once it came back whole, and into the log.
TEST_F(Streaming, ARequestIdThatIsTooLongIsNotSentBack) {
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->StreamAttention(&context);
  stream->Write(Tokens(1, 8, std::string(100000, 'x')));
  Response response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.request_id(), "");
  EXPECT_EQ(response.error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

// A reader who stalls once could have made the server take in calls without end.
TEST_F(Streaming, WhoReadsNoAnswersIsReadFromNoMoreAndHoldsUpNobodyElse) {
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->StreamAttention(&context);
  std::atomic<int> written = 0;
  std::thread writer([&] {
    while (stream->Write(Tokens(256, 1024, "stalled"))) ++written;  // 1 MiB each way
  });
  int seen = -1;
  EXPECT_TRUE(Await([&] {
    const int before = std::exchange(seen, written.load());
    absl::SleepFor(absl::Milliseconds(500));
    return written > 0 && before == written;
  }));
  EXPECT_LT(written, 200) << "64 calls, and what lies in the transport's buffers";
  for (int i = 0; i < 20; ++i) Compute(Tokens(50, 8, "other"));
  context.TryCancel();
  writer.join();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Await([&] { return server_->load().message_bytes == 0; }));
}

TEST_F(Streaming, WhatAClientLeftBehindIsCancelled) {
  Begin({.port = 0, .threads = 1, .drain = absl::Seconds(5)});
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->StreamAttention(&context);
  for (int i = 0; i < 3; ++i) stream->Write(Tokens(131072, 100, "endless"));
  EXPECT_TRUE(Await([&] { return server_->load().running_batches == 1; }));
  context.TryCancel();
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_TRUE(Await([&] {
    const auto load = server_->load();
    return load.running_batches == 0 && load.waiting_calls == 0 && load.message_bytes == 0;
  }));
}

TEST_F(Streaming, AStoppingServerAnswersWhatItHasTakenAndEndsTheStream) {
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->StreamAttention(&context);
  stream->Write(Tokens(3000, 64, "taken"));
  EXPECT_TRUE(Await([&] { return server_->load().running_batches == 1; }));
  std::thread stop([&] { EXPECT_TRUE(server_->Stop().ok()); });
  Response response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.request_id(), "taken");
  EXPECT_FALSE(response.has_error());
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  stop.join();
}

}  // namespace
}  // namespace attention
