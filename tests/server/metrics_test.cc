// What operators see: metrics and health over HTTP, and traces that come back.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/server/http_peer.h"
#include "tests/server/stored_layers.h"
#include "tests/server/within.h"

namespace attention {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Operators : public LayersToUpload {
 protected:
  void SetUp() override {
    Start({.port = 0, .metrics_port = 0, .threads = 2});
    ASSERT_TRUE(UploadTimes("double", 2).ok());
  }

  std::string Get(const std::string& path) const {
    return HttpGet(server_->metrics_address(), path);
  }

  // The value in the line that begins with `name`, labels included.
  static double Metric(const std::string& text, const std::string& name) {
    const size_t at = text.find(absl::StrCat("\n", name, " "));
    double value = -1;
    if (at == text.npos) return value;
    const size_t begin = at + name.size() + 2;
    EXPECT_TRUE(absl::SimpleAtod(text.substr(begin, text.find('\n', begin) - begin), &value));
    return value;
  }
};

TEST_F(Operators, MetricsCountCallsByMethodAndCode) {
  constexpr int kCalls = 5;
  for (int i = 0; i < kCalls; ++i) EXPECT_TRUE(Call("double").ok());
  EXPECT_FALSE(Call("nothing").ok());
  const std::string text = Get("/metrics");
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK"));
  const auto calls = [&](const std::string& method, const std::string& code) {
    return Metric(text, absl::StrCat(R"(attention_calls_total{code=")", code, R"(",method=")",
                                     method, R"("})"));
  };
  EXPECT_EQ(calls("ComputeAttention", "OK"), kCalls);
  EXPECT_EQ(calls("ComputeAttention", "NOT_FOUND"), 1);
  EXPECT_EQ(calls("UploadLayer", "OK"), 1);
  const std::string of_method = R"({method="ComputeAttention"})";
  EXPECT_EQ(Metric(text, absl::StrCat("attention_call_seconds_count", of_method)), kCalls + 1);
  EXPECT_EQ(Metric(text, absl::StrCat("attention_call_compute_seconds_count", of_method)), kCalls);
  EXPECT_EQ(Metric(text, absl::StrCat("attention_call_queue_seconds_count", of_method)), kCalls);
  EXPECT_EQ(Metric(text, "attention_tokens_total"), kCalls) << "a token a call";
  EXPECT_EQ(Metric(text, "attention_batch_calls_sum"), kCalls);
  EXPECT_EQ(Metric(text, "attention_layers_resident"), 1);
  EXPECT_GT(Metric(text, "attention_layer_bytes"), 0);
  EXPECT_GT(Metric(text, "attention_memory_budget_bytes"), 1 << 20);
  EXPECT_EQ(Metric(text, "attention_compute_threads"), 2);
  EXPECT_EQ(Metric(text, "attention_queue_calls"), 0);
  EXPECT_GT(Metric(text, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(Metric(text, "attention_compute_cpu_seconds_total"), 0);
  EXPECT_GE(Metric(text, "attention_cgroup_throttled_periods_total"), 0);
  EXPECT_THAT(text, HasSubstr("attention_build_info{version=\""));
}

TEST_F(Operators, HealthAndReadinessAreServedBesideThem) {
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(Get("/"), StartsWith("HTTP/1.1 404"));
}

TEST_F(Operators, HealthKnowsEachServiceAndEachLayer) {
  const auto health = [&](const std::string& service) { return client_->CheckHealth(service); };
  for (const std::string service : {"", "attention.v1.AttentionService",
                                    "attention.v1.EncoderService", "attention.v1.LayerService"}) {
    EXPECT_TRUE(health(service).ok()) << service;
  }
  EXPECT_EQ(health("layers/nothing").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Within(absl::Seconds(10), [&] { return health("layers/double").ok(); }));
  ASSERT_TRUE(client_->DeleteLayer("double").ok());
  EXPECT_TRUE(Within(absl::Seconds(10), [&] {
    return health("layers/double").code() == absl::StatusCode::kUnavailable;
  }));
}

TEST_F(Operators, AServerThatLeavesTheRotationSaysSoAndStillServes) {
  server_->LeaveRotation();
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(client_->CheckHealth().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Call("double").ok());
}

TEST_F(Operators, APortThatIsTakenIsRefusedWithWords) {
  const std::string address = server_->metrics_address();
  const int port = std::stoi(address.substr(address.rfind(':') + 1));
  const absl::Status status =
      Server::Start({.port = 0, .metrics_port = port, .threads = 1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--metrics_port"));
}

TEST_F(Operators, ATraceparentComesBackIfItIsOne) {
  const auto stub = v1::AttentionService::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  const auto echoed = [&](const std::string& trace) {
    grpc::ClientContext context;
    context.AddMetadata("traceparent", trace);
    v1::ComputeAttentionResponse response;
    EXPECT_FALSE(stub->ComputeAttention(&context, {}, &response).ok());
    const auto& trailers = context.GetServerTrailingMetadata();
    const auto found = trailers.find("traceparent");
    return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
  };
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_EQ(echoed(trace), trace);
  EXPECT_EQ(echoed("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"), "");
  EXPECT_EQ(echoed("anything \\ \" else"), "");
}

}  // namespace
}  // namespace attention
