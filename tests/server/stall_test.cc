// Peers that answer pings, so that gRPC keeps them, and yet do not read or send what they should.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "tests/server/stored_layers.h"
#include "tests/server/within.h"

namespace attention {
namespace {

class Stall : public ServerWithLayers {
 protected:
  void SetUp() override {
    Start({.port = 0, .max_stall = absl::Milliseconds(500), .threads = 1});
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  }

  static v1::ComputeAttentionRequest WithOutputOf(int64_t mib) {
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() =
        client::MakeTensor({16, mib << 14}, std::vector<float>(mib << 18, 0.01f));
    request.add_results(v1::RESULT_OUTPUT);
    return request;
  }

  // Its memory is free again, and others are served.
  void ExpectForgotten() {
    EXPECT_TRUE(Within(absl::Seconds(30), [&] { return server_->load().message_bytes == 0; }));
    v1::ComputeAttentionRequest small;
    *small.mutable_tokens()->mutable_tokens() = client::MakeTensor({1, 2}, {1, 2});
    Compute(small);
  }

  std::shared_ptr<grpc::Channel> channel_;
};

// Reads nothing until it is told.
class Unread : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    done_.Notify();
  }
  grpc::Status Wait() {
    done_.WaitForNotification();
    return status_;
  }

 private:
  grpc::Status status_;
  absl::Notification done_;
};

TEST_F(Stall, AnAnswerThatIsNotReadIsTakenBack) {
  grpc::GenericStub stub(channel_);
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  bool own = false;
  ASSERT_TRUE(grpc::SerializationTraits<v1::ComputeAttentionRequest>::Serialize(WithOutputOf(4),
                                                                                &request, &own)
                  .ok());
  Unread call;
  // As a stream, since a unary call would be read by gRPC itself.
  stub.PrepareBidiStreamingCall(&context, "/attention.v1.AttentionService/ComputeAttention", {},
                                &call);
  call.StartWrite(&request, grpc::WriteOptions().set_last_message());
  call.StartCall();
  EXPECT_TRUE(Within(absl::Seconds(30), [&] { return server_->load().message_bytes > 0; }));
  ExpectForgotten();
  context.TryCancel();  // gRPC would not tell it the end before it has read what came
  EXPECT_FALSE(call.Wait().ok());
}

TEST_F(Stall, AStreamWhoseAnswersAreNotReadEnds) {
  const auto stub = v1::AttentionService::NewStub(channel_);
  grpc::ClientContext context;
  const auto stream = stub->StreamAttention(&context);
  while (stream->Write(WithOutputOf(1))) {
  }
  ExpectForgotten();
  context.TryCancel();
  EXPECT_FALSE(stream->Finish().ok());
}

// An upload that this end makes part by part.
class SlowUpload {
 public:
  explicit SlowUpload(const std::shared_ptr<grpc::Channel>& channel)
      : writer_(v1::LayerService::NewStub(channel)->UploadLayer(&context_, &layer_)) {}

  bool WriteHeader() {
    v1::UploadLayerRequest part;
    part.mutable_header()->set_name("slow");
    part.mutable_header()->set_config_json(R"({"format": "attention", "num_heads": 1})");
    return writer_->Write(part);
  }
  bool WriteChunk(size_t bytes) {
    v1::UploadLayerRequest part;
    part.set_chunk(std::string(bytes, '\0'));
    return writer_->Write(part);
  }
  void WritesDone() { writer_->WritesDone(); }
  grpc::StatusCode Finish() { return writer_->Finish().error_code(); }

 private:
  grpc::ClientContext context_;
  v1::Layer layer_;
  std::unique_ptr<grpc::ClientWriter<v1::UploadLayerRequest>> writer_;
};

TEST_F(Stall, AnUploadThatDoesNotGoOnGivesItsPlaceAway) {
  SlowUpload upload(channel_);
  EXPECT_TRUE(upload.WriteHeader());
  EXPECT_EQ(upload.Finish(), grpc::StatusCode::CANCELLED);
  Create(SmallAttention("layer", 1));
}

TEST_F(Stall, AnUploadThatOnlyDripsGivesItsPlaceAway) {
  SlowUpload upload(channel_);
  const absl::Time begun = absl::Now();
  bool taken = upload.WriteHeader();
  while (taken && absl::Now() - begun < absl::Seconds(20)) {
    absl::SleepFor(absl::Milliseconds(50));
    taken = upload.WriteChunk(0);
  }
  EXPECT_LT(absl::Now() - begun, absl::Seconds(20));
  EXPECT_EQ(upload.Finish(), grpc::StatusCode::CANCELLED);
}

TEST_F(Stall, AnUploadThatIsFastEnoughMayTakeLongerInAll) {
  SlowUpload upload(channel_);
  EXPECT_TRUE(upload.WriteHeader());
  // No layer, of which it is told when it is all there: 16 parts of 1/2 MiB in 2 s.
  for (int i = 0; i < 16; ++i) {
    EXPECT_TRUE(upload.WriteChunk(1 << 19));
    absl::SleepFor(absl::Milliseconds(125));
  }
  upload.WritesDone();
  EXPECT_EQ(upload.Finish(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Stall, UploadsThatDoNotBeginHoldUpNoOtherCall) {
  std::deque<SlowUpload> uploads;
  for (int i = 0; i < 100; ++i) uploads.emplace_back(channel_);
  const auto stub = v1::LayerService::NewStub(channel_);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  v1::ListLayersResponse listed;
  const grpc::Status status = stub->ListLayers(&context, {}, &listed);
  EXPECT_TRUE(status.ok()) << status.error_message();
  int refused = 0;
  for (SlowUpload& upload : uploads) {
    const grpc::StatusCode code = upload.Finish();
    EXPECT_THAT(code,
                testing::AnyOf(grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::CANCELLED));
    refused += code == grpc::StatusCode::RESOURCE_EXHAUSTED ? 1 : 0;
  }
  EXPECT_GT(refused, 0);
}

TEST_F(Stall, ASlowReaderWhoGoesOnIsServed) {
  const auto stub = v1::AttentionService::NewStub(channel_);
  grpc::ClientContext context;
  const auto stream = stub->StreamAttention(&context);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(stream->Write(WithOutputOf(1)));
  stream->WritesDone();
  v1::ComputeAttentionResponse response;
  for (int i = 0; i < 4; ++i) {
    absl::SleepFor(absl::Milliseconds(400));
    EXPECT_TRUE(stream->Read(&response));
  }
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace
}  // namespace attention
