#include "server/json/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/models/safetensors.h"
#include "tests/json_cases.h"
#include "tests/server/models/safetensors_file.h"

namespace attention::engine {
namespace {

using testing::HasSubstr;

std::string FailureOf(const std::string& text) {
  const absl::Status status = ParseJson(text, JsonComments::kRefused).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

TEST(JsonText, HasTheVerdictOfTheTableOnEachCase) {
  for (const JsonCase& c : JsonCases()) {
    SCOPED_TRACE(absl::StrCat(c.verdict, ": ", absl::CEscape(c.text)));
    const absl::Status strict = ParseJson(c.text, JsonComments::kRefused).status();
    const absl::Status lenient = ParseJson(c.text, JsonComments::kAllowed).status();
    EXPECT_EQ(strict.ok(), c.verdict == "accepted") << strict;
    EXPECT_EQ(lenient.ok(), c.verdict != "refused") << lenient;
    EXPECT_THAT(std::string(strict.message()), HasSubstr(c.says));
  }
}

// The header of a safetensors file has a reader of its own.
TEST(JsonText, OfASafetensorsHeaderIsRefusedWhereTheTableSaysSo) {
  for (const JsonCase& c : JsonCases()) {
    if (c.verdict == "accepted") continue;
    const auto parse = [](const std::string& header) {
      return Safetensors::Parse(SafetensorsFile(header, "")).status();
    };
    EXPECT_FALSE(parse(c.text).ok()) << absl::CEscape(c.text);
    EXPECT_FALSE(parse(absl::StrCat("{\"__metadata__\": {\"a\": ", c.text, "}}")).ok())
        << absl::CEscape(c.text);
  }
}

TEST(JsonText, BuildsTheValue) {
  const std::string text = R"({"a": [1, -2.5, true, null, "x", [], {}], "b": {"c": [[1], [2]]}})";
  const auto parsed = ParseJson(text, JsonComments::kRefused);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, nlohmann::json::parse(text));
}

TEST(JsonText, SaysWhereTheTextIsNoJson) {
  EXPECT_EQ(FailureOf("{\n  \"a\": [1, , 2]\n}"), "is not JSON; look at line 2, column 12");
  EXPECT_EQ(FailureOf(""), "is not JSON; look at line 1, column 1");
  EXPECT_EQ(FailureOf("[1,\n2"), "is not JSON; look at line 2, column 2");
  EXPECT_EQ(FailureOf(std::string("{}\n\0", 4)), "is not JSON; look at line 2, column 1");
  EXPECT_EQ(FailureOf("[1e999]"), "has a number that is too large");
}

// Errors travel in gRPC's trailing metadata, which has room for 8 KiB.
TEST(JsonText, IsNotRepeatedInAnErrorHoweverLongItsKeysAre) {
  const std::string key = absl::StrCat("\"", std::string(100000, 'k'), "\"");
  const std::string twice = absl::StrCat("{", key, ": {", key, ": {", key, ": 1, ", key, ": 2}}}");
  EXPECT_LT(FailureOf(twice).size(), 400u);
}

TEST(JsonText, IsRefusedAtDepthThatWouldExhaustTheStack) {
  EXPECT_THAT(FailureOf(std::string(1000000, '[')), HasSubstr("more than 64 levels"));
}

}  // namespace
}  // namespace attention::engine
