#include "server/ops/log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "attention/v1/attention_service.pb.h"

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
