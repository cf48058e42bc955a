#include "client/cli/files/token_names.h"

#include <string>

#include "client/cli/files/request_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TokenNames Names(const std::string& text) {
  absl::StatusOr<RequestFile> file = ParseRequestFile(text, "x.json");
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? NamesFor(*file) : TokenNames();
}

TEST(NamesFor, GivesTheWordsToQueriesAndKeysInSelfAttention) {
  const TokenNames names =
      Names(R"({"words": ["a", "b"], "request": {"tokens": {"tokens": [[1], [2]]}}})");
  EXPECT_THAT(names.queries, ElementsAre("a", "b"));
  EXPECT_THAT(names.keys, ElementsAre("a", "b"));
}

TEST(NamesFor, GivesTheKeysNoNamesOfOtherTokens) {
  const TokenNames names = Names(R"({"words": ["a", "b"], "request": {
      "tokens": {"tokens": [[1], [2]], "context": [[1], [2]]}}})");
  EXPECT_THAT(names.keys, IsEmpty());
  EXPECT_EQ(names.Key(1), "k1");
}

TEST(NamesFor, SelectsTheQueriesThatComeBack) {
  const TokenNames names = Names(R"({"words": ["a", "b"], "request": {
      "tokens": {"tokens": [[1], [2]]}, "query_indices": [1, 0, 1, 7]}})");
  EXPECT_THAT(names.queries, ElementsAre("b", "a", "b", "q7"));
  EXPECT_THAT(names.keys, ElementsAre("a", "b"));
}

TEST(NamesFor, EscapesWhatCouldCommandATerminal) {
  const TokenNames names =
      Names(R"({"words": ["\u001b[2Ja"], "request": {"tokens": {"tokens": [[1]]}}})");
  EXPECT_THAT(names.queries, ElementsAre("\\u{1b}[2Ja"));
}

TEST(TokenNames, NumbersTokensWithoutNames) {
  const TokenNames names;
  EXPECT_EQ(names.Query(3), "q3");
  EXPECT_EQ(names.Key(0), "k0");
  EXPECT_EQ(names.Key(-1), "k-1");
}

}  // namespace
}  // namespace attention::client
