// What the page's data say; tests/end_to_end/pages_test.py sees it in a browser.
#include "client/cli/views/explain_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "client/tensor.h"

namespace attention::client {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json DataOf(const absl::StatusOr<std::string>& page) {
  EXPECT_TRUE(page.ok()) << page.status();
  const std::string mark = "type=\"application/json\">";
  const size_t begin = page->find(mark) + mark.size();
  return json::parse(page->substr(begin, page->find("</script>", begin) - begin));
}

// Two heads that share a key head, one query and two keys, of which head 1 does not see the second.
v1::ComputeAttentionResponse TwoHeads() {
  const float hidden = -std::numeric_limits<float>::infinity();
  v1::ComputeAttentionResponse response;
  *response.mutable_attention_scores() = MakeTensor({1, 2, 1, 2}, {0.1f, 2, 3, hidden});
  *response.mutable_attention_weights() = MakeTensor({1, 2, 1, 2}, {0.25f, 0.75f, 1, 0});
  *response.mutable_query() = MakeTensor({1, 2, 1, 3}, {1, 2, 3, 4, 5, 6});
  *response.mutable_present_key() = MakeTensor({1, 1, 2, 3}, {1, 1, 1, 2, 2, 2});
  *response.mutable_present_value() = MakeTensor({1, 1, 2, 1}, {7, 8});
  return response;
}

RequestFile TwoHeadsFile() {
  RequestFile file;
  file.title = "two heads";
  file.words = {"query"};
  file.request.mutable_config()->set_scale(0.5);
  return file;
}

TEST(ExplainPage, HasTheNumbersOfEachHead) {
  const json data = DataOf(ExplainPage(TwoHeadsFile(), TwoHeads()));
  EXPECT_EQ(data.at("title"), "two heads");
  EXPECT_EQ(data.at("scale"), 0.5);
  EXPECT_EQ(data.at("normalization"), "softmax");
  const json& maps = data.at("maps");
  ASSERT_EQ(maps.size(), 2u);
  EXPECT_EQ(maps[0].at("scores"), json({{0.1, 2}})) << "not the double next to 0.1f";
  EXPECT_EQ(maps[1].at("scores"), json({{3, "-inf"}}));
  EXPECT_EQ(maps[1].at("head"), 1);
  EXPECT_EQ(maps[1].at("weights"), json({{1, 0}}));
  EXPECT_EQ(maps[1].at("query"), json({{4, 5, 6}}));
  EXPECT_EQ(maps[1].at("key"), maps[0].at("key")) << "which both share";
  EXPECT_EQ(maps[1].at("value"), json({{7}, {8}}));
  EXPECT_EQ(maps[0].at("queries"), json({"query"}));
}

TEST(ExplainPage, LeavesOutTheArithmeticOfKeysThatTheLayerAddsItself) {
  v1::ComputeAttentionResponse response = TwoHeads();
  *response.mutable_present_key() = MakeTensor({1, 1, 1, 3}, {1, 1, 1});
  *response.mutable_present_value() = MakeTensor({1, 1, 1, 1}, {7});
  const json data = DataOf(ExplainPage(TwoHeadsFile(), response));
  EXPECT_FALSE(data.at("maps")[0].contains("query"));
  EXPECT_TRUE(data.at("maps")[0].contains("scores"));
}

TEST(ExplainPage, ShowsWeightsThatTheCallerSupplied) {
  RequestFile file;
  *file.request.mutable_weighted()->mutable_attention_weights() = MakeTensor({1, 2}, {0.5f, 0.5f});
  AskForPage(file.request);
  const json data = DataOf(ExplainPage(file, v1::ComputeAttentionResponse()));
  EXPECT_EQ(data.at("maps").size(), 1u);
  EXPECT_FALSE(data.at("maps")[0].contains("scores"));
}

TEST(ExplainPage, RefusesWhatNoPageCanShow) {
  RequestFile file = TwoHeadsFile();
  file.request.mutable_tokens()->add_q_lens(1);
  EXPECT_EQ(ExplainPage(file, TwoHeads()).status().code(), absl::StatusCode::kInvalidArgument);
  RequestFile large;
  *large.request.mutable_weighted()->mutable_attention_weights() =
      MakeTensor({1, 1, 1000, 401}, std::vector<float>(401'000));
  EXPECT_THAT(std::string(ExplainPage(large, v1::ComputeAttentionResponse()).status().message()),
              HasSubstr("401000 cells; want at most 400000"));
  EXPECT_EQ(ExplainPage(TwoHeadsFile(), v1::ComputeAttentionResponse()).status().code(),
            absl::StatusCode::kInternal);
}

TEST(ExplainPage, AsksForScoresAsTheyAreNormalised) {
  v1::ComputeAttentionRequest request;
  request.mutable_tokens();
  request.mutable_config()->set_average_attention_weights(true);
  AskForPage(request);
  EXPECT_EQ(request.config().score_stage(), v1::SCORE_STAGE_BIASED);
  EXPECT_FALSE(request.config().average_attention_weights());
  v1::EncodeRequest encode;
  AskForPage(3, encode);
  ASSERT_EQ(encode.probes_size(), 3);
  EXPECT_EQ(encode.probes(2).layer(), 2);
}

TEST(ExplainPage, HasEachLayerSequenceAndHeadOfAnEncoder) {
  RequestFile file;
  file.words = {"a", "b", "c"};
  file.encode.emplace();
  file.encode->add_lens(2);
  file.encode->add_lens(1);
  file.encode->add_probes()->set_layer(4);
  v1::EncodeResponse response;
  response.add_lens(2);
  response.add_lens(1);
  v1::ProbeResponse& probe = *response.add_probes();
  const std::vector<float> numbers = {1, 2, 3, 4, 5,
                                      6, 7, 8, 9, 10};  // 2 heads of 2 x 2, then 1 x 1
  *probe.mutable_attention_scores() = MakeTensor({10}, numbers);
  *probe.mutable_attention_weights() = MakeTensor({10}, numbers);
  const json maps = DataOf(ExplainPage(file, response)).at("maps");
  ASSERT_EQ(maps.size(), 4u);
  EXPECT_EQ(maps[1].at("weights"), json({{5, 6}, {7, 8}}));
  EXPECT_EQ(maps[3].at("weights"), json({{10}}));
  EXPECT_EQ(maps[3].at("queries"), json({"c"}));
  EXPECT_EQ(maps[3].at("sequence"), 1);
  EXPECT_EQ(maps[3].at("layer"), 4);
}

}  // namespace
}  // namespace attention::client
