#include "client/command_line.h"

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_FLAG(std::string, test_target, "nowhere", "where to go");
ABSL_FLAG(bool, test_json, false, "print JSON");
ABSL_FLAG(absl::Duration, test_timeout, absl::Seconds(1), "how long, as in 90s");

namespace attention::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ParseFlagsTest : public testing::Test {
 private:
  absl::FlagSaver saver_;
};

TEST_F(ParseFlagsTest, TakesFlagsBeforeAndBehindTheOthers) {
  EXPECT_THAT(
      *ParseFlags({"--test_json", "attend", "--test_target=a:1", "-", "--test_timeout", "5m"}),
      ElementsAre("attend", "-"));
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_json));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_target), "a:1");
  EXPECT_EQ(absl::GetFlag(FLAGS_test_timeout), absl::Minutes(5));
}

TEST_F(ParseFlagsTest, TakesTruthValuesInAllTheirForms) {
  EXPECT_THAT(*ParseFlags({"--test_json"}), IsEmpty());
  EXPECT_THAT(*ParseFlags({"--notest_json", "x"}), ElementsAre("x"));
  EXPECT_FALSE(absl::GetFlag(FLAGS_test_json));
  EXPECT_TRUE(ParseFlags({"-test_json=true"}).ok());
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_json));
}

TEST_F(ParseFlagsTest, TakesEmptyValuesAndValuesWithEqualsSigns) {
  EXPECT_TRUE(ParseFlags({"--test_target="}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_target), "");
  EXPECT_TRUE(ParseFlags({"--test_target=a=b"}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_target), "a=b");
}

TEST_F(ParseFlagsTest, TakesNoFlagsBehindTwoDashes) {
  EXPECT_THAT(*ParseFlags({"attend", "--", "--test_json", "--"}),
              ElementsAre("attend", "--test_json", "--"));
  EXPECT_FALSE(absl::GetFlag(FLAGS_test_json));
}

TEST_F(ParseFlagsTest, SaysWhichFlagIsWrong) {
  EXPECT_EQ(ParseFlags({"--test_jsn"}).status().message(), "there is no flag --test_jsn");
  EXPECT_EQ(ParseFlags({"--notest_target"}).status().message(), "there is no flag --notest_target");
  EXPECT_EQ(ParseFlags({"--test_target"}).status().message(), "--test_target needs a value");
  EXPECT_EQ(ParseFlags({"--test_timeout=5"}).status().message(),
            "--test_timeout cannot be \"5\"; it is: how long, as in 90s");
  EXPECT_EQ(absl::GetFlag(FLAGS_test_timeout), absl::Seconds(1));
}

}  // namespace
}  // namespace attention::client
