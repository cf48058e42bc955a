#include "server/ops/log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_split.h"
#include "attention/v1/attention_service.pb.h"
#include "server/ops/line_rate.h"

namespace attention::ops {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// What `f` writes to standard error at a level.
template <typename F>
std::string Logged(Severity level, F f) {
  LogLibraries();
  SetLogLevel(level);
  testing::internal::CaptureStderr();
  f();
  FlushLog();
  SetLogLevel(Severity::kInfo);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, EscapesWhatComesFromOutside) {
  const std::string line = Logged(Severity::kInfo, [] {
    Log(Severity::kInfo, "event", {{"text", "a\"b\n{}\x01\xff"}});
  });
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line";
  EXPECT_EQ(nlohmann::json::parse(line).at("text"), "a\"b\n{}\x01\uFFFD");
}

TEST(Log, CutsLongTextsBetweenTwoCharacters) {
  std::string text = "a";
  for (int i = 0; i < 2000; ++i) text += "\u00e9";  // of two bytes
  const auto line = nlohmann::json::parse(Logged(Severity::kInfo, [&] {
    Log(Severity::kInfo, "event", {{"text", text}});
  }));
  EXPECT_EQ(line.at("text"), text.substr(0, 2047) + "...");
}

// A reader of standard error that has stopped reading once held up every call that failed.
TEST(Log, WaitsForNobodyWhoReadsItAndCountsTheLinesThatAreLost) {
  std::array<int, 2> pipe_ends = {};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const int standard_error = dup(STDERR_FILENO);
  dup2(pipe_ends[1], STDERR_FILENO);
  constexpr int kLines = 3000;
  for (int i = 0; i < kLines; ++i) {
    Log(Severity::kInfo, "event", {{"text", std::string(1000, 'x')}});  // 3 MB, nobody reads
  }
  std::string read_back;
  std::thread reader([&, from = pipe_ends[0]] {
    std::array<char, 4096> block = {};
    for (ssize_t n = 0; (n = read(from, block.data(), block.size())) > 0;) {
      read_back.append(block.data(), static_cast<size_t>(n));
    }
  });
  FlushLog();
  Log(Severity::kInfo, "event", {{"text", "after"}});
  FlushLog();
  dup2(standard_error, STDERR_FILENO);
  close(standard_error);
  close(pipe_ends[1]);
  reader.join();
  close(pipe_ends[0]);
  int64_t written = 0, lost = 0;
  for (const absl::string_view text : absl::StrSplit(read_back, '\n', absl::SkipEmpty())) {
    const auto line = nlohmann::json::parse(text);
    line.at("event") == "event" ? ++written : lost += line.at("count").get<int64_t>();
  }
  EXPECT_EQ(written + lost, kLines + 1);
  EXPECT_GT(lost, 0);
  EXPECT_THAT(read_back, HasSubstr("after"));
}

TEST(Log, CutsLongLists) {
  const std::vector<std::string> names(20, std::string(3000, 'a'));
  const auto line = nlohmann::json::parse(Logged(Severity::kInfo, [&] {
    Log(Severity::kInfo, "event", {{"names", names}});
  }));
  EXPECT_EQ(line.at("names").size(), 17u);
  EXPECT_EQ(line.at("names")[0], std::string(2048, 'a') + "...");
  EXPECT_EQ(line.at("names")[16], "...");
}

TEST(Log, GoesOnWhereNobodyReadsIt) {
  std::array<int, 2> pipe_ends = {};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  close(pipe_ends[0]);
  const int standard_error = dup(STDERR_FILENO);
  dup2(pipe_ends[1], STDERR_FILENO);
  Log(Severity::kInfo, "event", {{"text", "nobody"}});
  FlushLog();
  dup2(standard_error, STDERR_FILENO);
  close(standard_error);
  close(pipe_ends[1]);
  const std::string lines = Logged(Severity::kInfo, [] {
    Log(Severity::kInfo, "event", {{"text", "somebody"}});
  });
  EXPECT_THAT(lines, HasSubstr("somebody"));
  EXPECT_THAT(lines, HasSubstr("log_lines_lost"));
}

TEST(LineRate, AdmitsSoManyLinesASecondAndCountsTheOthers) {
  LineRate rate;
  const LineRate::Clock::time_point now = LineRate::Clock::now();
  for (int i = 0; i < LineRate::kMost; ++i) EXPECT_EQ(rate.Admit(now), 0);
  EXPECT_EQ(rate.Admit(now), std::nullopt);
  EXPECT_EQ(rate.Admit(now + std::chrono::milliseconds(999)), std::nullopt);
  EXPECT_EQ(rate.Admit(now + std::chrono::seconds(1)), 2) << "were left out";
  EXPECT_EQ(rate.Admit(now + std::chrono::seconds(1)), 0);
}

// protobuf once wrote a line of its own for each request whose texts were not UTF-8.
TEST(Log, TellsOfTextsThatAreNotUtf8AtDebugAlone) {
  const auto parse = [] {
    v1::ComputeAttentionRequest request;
    EXPECT_FALSE(request.ParseFromString("\x0a\x01\xff"));  // request_id
  };
  EXPECT_THAT(Logged(Severity::kInfo, parse), IsEmpty());
  const auto line = nlohmann::json::parse(Logged(Severity::kDebug, parse));
  EXPECT_EQ(line.at("event"), "protobuf");
  EXPECT_THAT(line.at("message").get<std::string>(), HasSubstr("request_id"));
}

TEST(Log, TellsWhatGrpcHasToSay) {
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);  // its default, once it is in use
  const auto line = nlohmann::json::parse(
      Logged(Severity::kInfo, [] { gpr_log(GPR_ERROR, "no \"%s\"", "way"); }));
  EXPECT_EQ(line.at("event"), "grpc");
  EXPECT_EQ(line.at("severity"), "WARNING");
  EXPECT_EQ(line.at("message"), "no \"way\"");
}

}  // namespace
}  // namespace attention::ops
