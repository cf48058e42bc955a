#include "client/cli/views/explain_view.h"

#include <string>

#include "client/tensor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RequestFile Parse(const std::string& text) {
  absl::StatusOr<RequestFile> file = ParseRequestFile(text, "x.json");
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? *file : RequestFile();
}

// The maps of a response, drawn.
absl::StatusOr<std::string> Explain(const RequestFile& file,
                                    const v1::ComputeAttentionResponse& response) {
  const absl::StatusOr<AttentionMaps> maps = MapsOf(file, response);
  if (!maps.ok()) return maps.status();
  return FormatExplanation(file, *maps, Shading::kCharacters);
}

TEST(AskForExplanation, AsksForTheAttentionWeightsAlone) {
  RequestFile file = Parse(R"({"request": {"results": ["OUTPUT", "QUERY"],
                               "tokens": {"tokens": [[1]]}, "query_indices": [0]}})");
  AskForExplanation(file.request);
  EXPECT_THAT(file.request.results(), ElementsAre(v1::RESULT_ATTENTION_WEIGHTS));
  EXPECT_THAT(file.request.query_indices(), ElementsAre(0));
}

TEST(FormatExplanation, DrawsAMapAndNamesTheMostAttendedWords) {
  const RequestFile file =
      Parse(R"({"words": ["jim", "likes"], "request": {"tokens": {"tokens": [[1], [2]]}}})");
  v1::ComputeAttentionResponse response;
  *response.mutable_attention_weights() = MakeTensor({1, 1, 2, 2}, {0.2f, 0.8f, 0.0f, 0.0f});
  EXPECT_EQ(
      *Explain(file, response),
      R"(attention weights in percent: how much each word on the left attends to each word above
          jim   likes
  jim ░░ 20.0 ██ 80.0 jim
likes     0.0     0.0 likes
scale: 0.0 % [  ░░▒▒▓▓██] 80.0 %
  jim -> likes 80.0 %, jim 20.0 %
likes -> no key

)");
}

TEST(FormatExplanation, DrawsAMapForEachSequenceAndHead) {
  const RequestFile file = Parse(R"({"request": {"tokens": {"tokens": [[[1]], [[2]]]}}})");
  v1::ComputeAttentionResponse response;
  *response.mutable_attention_weights() = MakeTensor({2, 2, 1, 1}, {1, 1, 1, 1});
  const std::string text = *Explain(file, response);
  for (const char* name : {", sequence 0, head 0:", ", sequence 0, head 1:",
                           ", sequence 1, head 0:", ", sequence 1, head 1:"}) {
    EXPECT_THAT(text, HasSubstr(name));
  }
}

TEST(FormatExplanation, NamesAsManyWordsAsTheRequestSays) {
  const RequestFile file = Parse(R"({"request": {"tokens": {"tokens": [[1]],
                                     "context": [[1], [2], [3], [4]]}, "top_k": 1}})");
  v1::ComputeAttentionResponse response;
  *response.mutable_attention_weights() = MakeTensor({1, 1, 1, 4}, {0.1f, 0.2f, 0.3f, 0.4f});
  EXPECT_THAT(*Explain(file, response), HasSubstr("q0 -> k3 40.0 %\n"));
}

TEST(FormatExplanation, DrawsTheWeightsThatTheCallerSupplied) {
  RequestFile file = Parse(R"({"words": ["a", "b"], "context_words": ["x", "y", "z"], "request": {
      "weighted": {"attention_weights": [[0, 0.5, 0.5], [1, 0, 0]], "value": [[1], [2], [3]]},
      "query_indices": [1]}})");
  AskForExplanation(file.request);
  EXPECT_THAT(file.request.results(), IsEmpty());
  EXPECT_THAT(*Explain(file, v1::ComputeAttentionResponse()),
              HasSubstr("a -> y 50.0 %, z 50.0 %\nb -> x 100.0 %\n"));
}

TEST(FormatExplanation, DrawsWeightsThatAreAveragedOverTheHeads) {
  const RequestFile file = Parse(
      R"({"words": ["a", "b"], "request": {"tokens": {"tokens": [[1], [2]]},
          "config": {"average_attention_weights": true}}})");
  v1::ComputeAttentionResponse response;
  *response.mutable_attention_weights() = MakeTensor({1, 2, 2}, {0.75f, 0.25f, 0.5f, 0.5f});
  const auto text = Explain(file, response);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, HasSubstr("a -> a 75.0 %, b 25.0 %"));
}

TEST(FormatExplanation, RefusesARaggedBatch) {
  const RequestFile file =
      Parse(R"({"request": {"tokens": {"tokens": [[1], [2]], "q_lens": [1, 1]}}})");
  EXPECT_EQ(Explain(file, v1::ComputeAttentionResponse()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(FormatExplanation, RefusesAResponseWithoutTheWeights) {
  const RequestFile file = Parse(R"({"request": {"tokens": {"tokens": [[1]]}}})");
  v1::ComputeAttentionResponse response;
  EXPECT_EQ(Explain(file, response).status().code(), absl::StatusCode::kInternal);
  *response.mutable_attention_weights() = MakeTensor({1}, {1});
  EXPECT_THAT(std::string(Explain(file, response).status().message()),
              HasSubstr("shape is [1]; want [batch, num_heads, q_len, kv_len]"));
}

}  // namespace
}  // namespace attention::client
