// Load tests of a real server.
#include "client/load/load_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "client/load/load_report.h"
#include "tests/server/stored_layers.h"

namespace attention::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class LoadTest : public ServerWithLayers {
 protected:
  LoadOptions Options() const {
    return {.targets = {server_->address()},
            .callers = 4,
            .warm_up = absl::Milliseconds(100),
            .duration = absl::Seconds(1),
            .lengths = *Lengths::Parse("uniform:1-20")};
  }
  static LoadResult Run(const LoadOptions& options) {
    auto result = RunLoadTest(options);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : LoadResult();
  }
};

TEST_F(LoadTest, AClosedLoopCountsWhatWasAnswered) {
  LoadOptions options = Options();
  options.verify = true;
  options.connections = 2;
  options.server_pid = getpid();
  const LoadResult result = Run(options);
  EXPECT_GT(result.answered(), 10);
  EXPECT_THAT(result.by_code, ElementsAre(Pair("OK", result.answered())));
  EXPECT_THAT(result.failures, IsEmpty());
  EXPECT_GE(result.batch_calls, result.answered());
  EXPECT_GT(result.server_cpu, absl::ZeroDuration());
  EXPECT_GT(result.server_resident_bytes, 0);
  EXPECT_GE(result.seconds.size(), 1u);
}

TEST_F(LoadTest, AnOpenLoopMakesAboutAsManyCallsAsItOffers) {
  LoadOptions options = Options();
  options.rate = 200;
  options.duration = absl::Seconds(3);
  const LoadResult result = Run(options);
  EXPECT_NEAR(result.answered(), 600, 150) << "600 within six standard deviations";
  EXPECT_THAT(result.failures, IsEmpty());
}

TEST_F(LoadTest, AnOpenLoopCountsLatencyFromTheIntendedStart) {
  // One thread, calls of tens of milliseconds, more of them than it can do: each waits for those
  // before.
  Start({.port = 0, .threads = 1});
  LoadOptions options = Options();
  options.lengths = *Lengths::Parse("3000");
  options.rate = 400;
  const LoadResult result = Run(options);
  EXPECT_GT(result.latency.Percentile(99), absl::Milliseconds(300));
}

TEST_F(LoadTest, CallsStoredLayersAndEncoders) {
  Create(SmallAttention("attention", 1));
  v1::CreateLayerRequest encoder;
  encoder.set_name("encoder");
  encoder.mutable_encoder()->set_d_model(8);
  encoder.mutable_encoder()->set_num_heads(2);
  encoder.mutable_encoder()->set_num_layers(1);
  encoder.mutable_encoder()->set_vocabulary(5);
  Create(encoder);
  for (const char* const layer : {"attention", "encoder"}) {
    LoadOptions options = Options();
    options.layer = layer;
    options.verify = true;
    const LoadResult result = Run(options);
    EXPECT_GT(result.answered(), 10);
    EXPECT_THAT(result.failures, IsEmpty()) << layer;
  }
}

TEST_F(LoadTest, CancelsAndErrsAsItIsTold) {
  LoadOptions options = Options();
  options.cancelled_share = 0.2;
  options.invalid_share = 0.1;
  const LoadResult result = Run(options);
  EXPECT_GT(result.answered(), 10);
  EXPECT_GT(result.cancelled, 0);
  EXPECT_GT(result.refused, 0);
  EXPECT_THAT(result.failures, IsEmpty());
}

TEST_F(LoadTest, TellsOfCallsThatFail) {
  LoadOptions options = Options();
  options.callers = 1;
  ASSERT_TRUE(server_->Stop().ok());
  const LoadResult result = Run(options);
  EXPECT_EQ(result.answered(), 0);
  EXPECT_GT(result.by_code.at("UNAVAILABLE"), 0);
  EXPECT_THAT(LoadText(options, result), HasSubstr("FAILED"));
}

TEST_F(LoadTest, ReportsTheSameAsTextAndAsJson) {
  const LoadOptions options = Options();
  const LoadResult result = Run(options);
  const auto json = nlohmann::json::parse(LoadJson(options, result));
  EXPECT_EQ(json.at("answered"), result.answered());
  EXPECT_EQ(json.at("latency").at("p99_ms"),
            absl::ToDoubleMilliseconds(result.latency.Percentile(99)));
  EXPECT_THAT(LoadText(options, result),
              HasSubstr(absl::StrCat(result.answered(), " calls answered")));
}

TEST_F(LoadTest, RefusesWhatCannotBe) {
  LoadOptions options = Options();
  options.callers = 0;
  EXPECT_EQ(RunLoadTest(options).status().code(), absl::StatusCode::kInvalidArgument);
  options = Options();
  options.cancelled_share = 0.6;
  options.invalid_share = 0.5;
  EXPECT_EQ(RunLoadTest(options).status().code(), absl::StatusCode::kInvalidArgument);
  options = Options();
  options.layer = "none";
  EXPECT_EQ(RunLoadTest(options).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace attention::client
