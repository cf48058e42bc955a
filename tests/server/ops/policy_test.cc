#include "server/ops/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace attention::ops {
namespace {

using testing::HasSubstr;

constexpr char kEncode[] = "/attention.v1.EncoderService/Encode";
constexpr char kUpload[] = "/attention.v1.LayerService/UploadLayer";
constexpr char kDelete[] = "/attention.v1.LayerService/DeleteLayer";

constexpr char kProduction[] = R"({
  "name": "production",
  "deny_rules": [
    {"name": "nobody deletes", "request": {"paths": ["*/DeleteLayer"]}}
  ],
  "allow_rules": [
    {"name": "ours compute",
     "source": {"principals": ["spiffe://example.org/*", "*.example.org"]},
     "request": {"paths": ["/attention.v1.EncoderService/*"]}},
    {"name": "operators change layers",
     "source": {"principals": ["spiffe://example.org/operator"]},
     "request": {"paths": ["/attention.v1.LayerService/*"],
                 "headers": [{"key": "X-Team", "values": ["infra*"]}]}}
  ]
})";

Policy Make(absl::string_view json) {
  const auto policy = Policy::FromJson(json);
  EXPECT_TRUE(policy.ok()) << policy.status();
  return *policy;
}

TEST(Policy, LetsThroughWhatAnAllowRuleMatchesAndNothingElse) {
  const Policy policy = Make(kProduction);
  EXPECT_TRUE(policy.Allows({{"spiffe://example.org/app"}, kEncode, {}}));
  EXPECT_TRUE(policy.Allows({{"CN=app", "app.example.org"}, kEncode, {}})) << "any of its names";
  EXPECT_FALSE(policy.Allows({{"spiffe://example.com/app"}, kEncode, {}}));
  EXPECT_FALSE(policy.Allows({{}, kEncode, {}})) << "nobody knows who calls";
  EXPECT_FALSE(policy.Allows({{"spiffe://example.org/app"}, kUpload, {}}));
}

TEST(Policy, WantsEachHeaderThatARuleNames) {
  const Policy policy = Make(kProduction);
  const absl::string_view who = "spiffe://example.org/operator";
  EXPECT_TRUE(policy.Allows({{who}, kUpload, {{"x-team", "infra-1"}}}));
  EXPECT_TRUE(policy.Allows({{who}, kUpload, {{"x-team", "web"}, {"x-team", "infra-1"}}}));
  EXPECT_FALSE(policy.Allows({{who}, kUpload, {{"x-team", "web"}}}));
  EXPECT_FALSE(policy.Allows({{who}, kUpload, {}}));
}

TEST(Policy, HoldsForAMethodByEachOfItsNames) {
  const Policy policy = Make(R"({"name": "x",
    "deny_rules": [{"request": {"paths": ["/old.*"]}, "source": {"principals": ["CN=out"]},
                    "name": "out"}],
    "allow_rules": [{"request": {"paths": ["/old.Service/Ask"]}, "name": "in"}]})");
  EXPECT_TRUE(policy.Allows({{"CN=in"}, "/new.Service/Ask", {}, "/old.Service/Ask"}));
  EXPECT_TRUE(policy.Allows({{"CN=in"}, "/old.Service/Ask", {}, "/new.Service/Ask"}));
  EXPECT_FALSE(policy.Allows({{"CN=in"}, "/new.Service/Ask", {}}));
  EXPECT_FALSE(policy.Allows({{"CN=out"}, "/new.Service/Ask", {}, "/old.Service/Ask"}));
}

TEST(Policy, DeniesBeforeItAllows) {
  EXPECT_FALSE(Make(kProduction)
                   .Allows({{"spiffe://example.org/operator"}, kDelete, {{"x-team", "infra"}}}));
}

TEST(Policy, AStarMatchesWhoeverShowedACertificate) {
  const Policy policy =
      Make(R"({"name": "p", "allow_rules": [{"name": "r", "source": {"principals": ["*"]}}]})");
  EXPECT_TRUE(policy.Allows({{"CN=anyone"}, kUpload, {}}));
  EXPECT_FALSE(policy.Allows({{}, kUpload, {}}));
}

TEST(Policy, ARuleWithoutRestrictionsMatchesAll) {
  const Policy policy = Make(R"({"name": "p", "allow_rules": [{"name": "r"}]} // all)");
  EXPECT_TRUE(policy.Allows({{}, kUpload, {}}));
  EXPECT_FALSE(Make(R"({"name": "p", "allow_rules": []})").Allows({{}, kUpload, {}}));
}

TEST(Policy, SaysWhereAFileIsWrong) {
  const struct {
    const char *json, *want;
  } cases[] = {
      {"", "policy is not JSON"},
      {"[]", "policy is not an object"},
      {R"({"allow_rules": []})", "policy.name is missing"},
      {R"({"name": "p"})", "policy.allow_rules is missing"},
      {R"({"name": "p", "allow_rules": {}})", "policy.allow_rules is not an array"},
      {R"({"name": "p", "allow_rules": [], "audit": 1})", "has a member \"audit\""},
      {R"({"name": "p", "allow_rules": [{}]})", "policy.allow_rules[0].name is missing"},
      {R"({"name": "p", "allow_rules": [{"name": "r", "source": {"principal": ["a"]}}]})",
       "policy.allow_rules[0].source has a member \"principal\""},
      {R"({"name": "p", "allow_rules": [{"name": "r", "request": {"paths": [1]}}]})",
       "policy.allow_rules[0].request.paths[0] is not a string"},
      {R"({"name": "p", "deny_rules": [{"name": "r", "request": {"headers": [{"key": "host",
          "values": ["a"]}]}}], "allow_rules": []})",
       "policy.deny_rules[0].request.headers[0].key is one of gRPC's own headers"},
      {R"({"name": "p", "deny_rules": [{"name": "r", "request": {"headers": [{"key": "a",
          "values": []}]}}], "allow_rules": []})",
       "policy.deny_rules[0].request.headers[0].values is empty"},
  };
  for (const auto& c : cases) {
    const absl::Status status = Policy::FromJson(c.json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.json;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.want)) << c.json;
  }
}

// The first of two members of the same name once vanished, and a deny rule with it.
TEST(Policy, RefusesWhatWouldSilentlyNotCount) {
  const auto problem = [](absl::string_view json) {
    return std::string(Policy::FromJson(json).status().message());
  };
  EXPECT_THAT(problem(R"({"name": "p", "deny_rules": [{"name": "d"}], "deny_rules": [],
                          "allow_rules": [{"name": "all"}]})"),
              HasSubstr("policy has the key \"deny_rules\" twice in the outermost object"));
  EXPECT_THAT(
      problem(R"({"name": "p", "allow_rules": [{"name": "a"}, {"name": "b", "name": "c"}]})"),
      HasSubstr("policy has the key \"name\" twice in allow_rules[1]"));
  for (const absl::string_view star : {"a*b", "*a*", "**", "a*b*"}) {
    EXPECT_THAT(problem(absl::StrCat(R"({"name": "p", "allow_rules": [{"name": "a", "source":
                                     {"principals": [")",
                                     star, R"("]}}]})")),
                HasSubstr("principals[0] has a * inside"))
        << star;
  }
}

}  // namespace
}  // namespace attention::ops
