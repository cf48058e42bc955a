#include "client/cli/files/json_text.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/json_cases.h"

namespace attention::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string JsonTextFailure(const std::string& text) {
  const absl::Status status = ParseJson(text, "x.json").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

TEST(ParseJson, BuildsTheValue) {
  const std::string text = R"({"a": [1, -2.5, true, null, "x", [], {}], "b": {"c": [[1], [2]]}})";
  absl::StatusOr<nlohmann::json> json = ParseJson(text, "x.json");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(*json, nlohmann::json::parse(text));
}

TEST(ParseJson, SaysWhereTheHoleIs) {
  EXPECT_THAT(JsonTextFailure("{\n  \"a\": [1, , 2]\n}"), StartsWith("x.json:2:12: "));
  EXPECT_THAT(JsonTextFailure("{\"a\": }"), StartsWith("x.json:1:7: "));
  EXPECT_THAT(JsonTextFailure("[1,\n2"), StartsWith("x.json:2:2: "));
  EXPECT_THAT(JsonTextFailure(""), StartsWith("x.json:1:1: "));
  EXPECT_THAT(JsonTextFailure("{} {}"), StartsWith("x.json:1:4: "));
  EXPECT_THAT(JsonTextFailure("[\n\n  nul]"), StartsWith("x.json:3:"));
}

TEST(ParseJson, SaysWhatIsWrongWithoutTheLibrarysTags) {
  const std::string failure = JsonTextFailure("[1, , 2]");
  EXPECT_THAT(failure, HasSubstr("unexpected ','"));
  EXPECT_THAT(failure, testing::Not(HasSubstr("json.exception")));
  EXPECT_THAT(JsonTextFailure("[1e999]"), HasSubstr("number overflow"));
  EXPECT_LT(JsonTextFailure("\"" + std::string(100000, 'x')).size(), 400u);
}

TEST(ParseJson, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(JsonTextFailure(R"({"a": 1, "b": {"a": 2}, "a": 3})"),
            "x.json: it has the key \"a\" twice in the outermost object");
  const std::string long_key(100000, 'k');
  const std::string nested =
      absl::StrCat("{\"", long_key, "\": {\"", long_key, "\": 1, \"", long_key, "\": 2}}");
  EXPECT_LT(JsonTextFailure(nested).size(), 400u);
}

TEST(ParseJson, HasTheVerdictOfTheTableOnEachCase) {
  for (const JsonCase& c : JsonCases()) {
    SCOPED_TRACE(absl::StrCat(c.verdict, ": ", absl::CEscape(c.text)));
    const absl::Status status = ParseJson(c.text, "x.json").status();
    EXPECT_EQ(status.ok(), c.verdict == "accepted") << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.says));
  }
}

TEST(ParseJson, RefusesDepthThatWouldExhaustTheStack) {
  EXPECT_TRUE(ParseJson(std::string(64, '[') + std::string(64, ']'), "x.json").ok());
  EXPECT_THAT(JsonTextFailure(std::string(1000000, '[')), HasSubstr("more than 64 levels"));
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":";
  EXPECT_THAT(JsonTextFailure(objects), HasSubstr("more than 64 levels"));
}

TEST(ParseJson, RefusesTextThatIsNoUtf8) {
  EXPECT_THAT(JsonTextFailure("\"\xff\""), HasSubstr("UTF-8"));
}

}  // namespace
}  // namespace attention::client
