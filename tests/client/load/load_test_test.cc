// Load tests of a real server, and how they count.
#include "client/load/load_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "client/load/load_caller.h"
#include "client/load/load_report.h"
#include "tests/client/fake_server.h"
#include "tests/server/stored_layers.h"

namespace attention::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
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
    auto run = RunLoadTest(options);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? std::move(run->result) : LoadResult();
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

// A call that begins late has made its user wait all the same.
TEST_F(LoadTest, ACallsLatencyCountsFromWhenItWasToBegin) {
  const LoadOptions options = Options();
  const auto client = AttentionClient::Create({.target = options.targets[0]});
  const auto requests = MakeLoadRequests(options, *client);
  auto targets = ConnectAll(options, *ReadCredentials(options.tls));
  ASSERT_TRUE(requests.ok() && targets.ok());
  const SteadyTime now = std::chrono::steady_clock::now();
  LoadRecorder recorder(now - std::chrono::minutes(1), now + std::chrono::minutes(1));
  LoadCaller::Shared shared = {.options = options,
                               .requests = *requests,
                               .targets = *std::move(targets),
                               .recorder = recorder};
  LoadCaller caller(shared, 1);
  absl::Notification ended;
  caller.Call(now - std::chrono::seconds(3), [&] { ended.Notify(); });
  ended.WaitForNotification();
  EXPECT_GE(recorder.Take().latency.max(), absl::Seconds(3));
}

TEST_F(LoadTest, MakesCallsThatFailAgainOverOtherConnections) {
  const NoServer nobody;
  LoadOptions options = Options();
  options.targets.push_back(nobody.target());
  const LoadResult without = Run(options);
  EXPECT_GT(without.by_code.at("UNAVAILABLE"), 0);
  EXPECT_EQ(without.retries, 0);
  options.retry = true;
  options.warm_up = absl::ZeroDuration();
  const LoadResult with = Run(options);
  EXPECT_THAT(with.failures, IsEmpty());
  EXPECT_THAT(with.by_code, ElementsAre(Pair("OK", with.answered())));
}

TEST(LoadRecorder, RatesAreOfTheAnswersThatCameInTheTest) {
  using std::chrono::seconds;
  const SteadyTime start{};
  LoadRecorder recorder(start, start + seconds(10));
  const auto answer = [&](int begins, int ends) {
    CallEnd end;
    end.intended = start + seconds(begins);
    end.ended = start + seconds(ends);
    end.tokens = 5;
    recorder.Add(end);
  };
  answer(-2, -1);  // of the warm-up
  answer(-1, 1);
  answer(2, 3);
  answer(9, 60);  // the last to be answered
  const LoadResult result = recorder.Take();
  EXPECT_EQ(result.answers, 2);
  EXPECT_EQ(result.AnsweredPerSecond(), 0.2);
  EXPECT_EQ(result.TokensPerSecond(), 1);
  EXPECT_EQ(result.answered(), 2) << "which were to begin in it";
  EXPECT_EQ(result.latency.max(), absl::Seconds(51));
  EXPECT_EQ(result.queue.count(), 0) << "the server's times are not known";
}

TEST(LoadRecorder, CallsThatWereNotMadeHaveFailed) {
  LoadRecorder recorder({}, SteadyTime() + std::chrono::seconds(1));
  recorder.CountNotMade({});
  const LoadResult result = recorder.Take();
  EXPECT_EQ(result.not_made, 1);
  EXPECT_EQ(result.failures.size(), 1u);
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

TEST_F(LoadTest, ReportsTheSameAsTextAndAsJson) {
  const LoadOptions options = Options();
  const LoadResult result = Run(options);
  const auto json = nlohmann::json::parse(LoadJson({options, result}));
  EXPECT_EQ(json.at("answered"), result.answered());
  EXPECT_EQ(json.at("latency").at("p99_ms"),
            absl::ToDoubleMilliseconds(result.latency.Percentile(99)));
  EXPECT_THAT(LoadText({options, result}),
              HasSubstr(absl::StrCat(result.answers, " calls answered")));
}

TEST_F(LoadTest, TellsEachSecondHowItGoes) {
  LoadOptions options = Options();
  options.duration = absl::Seconds(2);
  absl::Mutex mutex;
  std::vector<std::pair<absl::Duration, LoadProgress>> told;
  const auto run = RunLoadTest(options, [&](absl::Duration since, const LoadProgress& last) {
    const absl::MutexLock lock(&mutex);
    told.emplace_back(since, last);
  });
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_GE(told.size(), 1u);
  EXPECT_GT(told[0].second.answered, 0);
  EXPECT_EQ(told[0].second.failed, 0);
  EXPECT_THAT(LoadProgressText(told[0].first, told[0].second), HasSubstr("answered  p50"));
}

// A server's text once could have ended the page's script.
TEST(LoadReport, ThePageHoldsItsDataAndCannotBeBrokenOutOf) {
  LoadRun run;
  run.options.rate = 10;
  run.result.lasted = absl::Seconds(1);
  run.result.latency.Add(absl::Milliseconds(7));
  run.result.failures["UNKNOWN: </script><script>alert(1)</script>"] = 1;
  const std::string page = LoadPage({run, run});
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  const size_t begin = page.find("application/json\">") + 18;
  const auto data =
      nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  ASSERT_EQ(data.size(), 2u);
  EXPECT_EQ(data[1].at("offered_per_s"), 10);
  EXPECT_EQ(data[0].at("histogram").at(0).at(1), 1);
  EXPECT_EQ(data[0].at("failures").begin().key(), "UNKNOWN: </script><script>alert(1)</script>");
}

TEST(LoadReport, TheTableHasALineForEachRun) {
  LoadRun run;
  run.options.callers = 3;
  run.result.lasted = absl::Seconds(2);
  run.result.answers = 10;
  const std::vector<std::string> lines = absl::StrSplit(LoadCsv({run, run}), "\r\n");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[3], "");
  const auto columns = [&](size_t i) {
    return std::vector<std::string>(absl::StrSplit(lines[i], ','));
  };
  EXPECT_EQ(columns(1).size(), columns(0).size());
  EXPECT_EQ(columns(0)[4], "answered_per_s");
  EXPECT_EQ(columns(1)[4], "5");
  EXPECT_EQ(columns(1)[1], "3");
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

// Its calls end faster than any others. Once the last call held the channel a moment longer than
// the test did, and so let it go on the channel's own thread: what came next crashed within gRPC,
// now and then.
TEST_F(LoadTest, TellsOfCallsThatFail) {
  LoadOptions options = Options();
  options.callers = 1;
  ASSERT_TRUE(server_->Stop().ok());
  const LoadResult result = Run(options);
  EXPECT_EQ(result.answered(), 0);
  EXPECT_GT(result.by_code.at("UNAVAILABLE"), 0);
  EXPECT_THAT(LoadText({options, result}), HasSubstr("FAILED"));
}

}  // namespace
}  // namespace attention::client
