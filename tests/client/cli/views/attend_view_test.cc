#include "client/cli/views/attend_view.h"

#include <cstdint>
#include <string>
#include <vector>

#include "client/tensor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

using ::testing::HasSubstr;

const TokenNames kNames = {.queries = {"jim", "likes"}, .keys = {"jim", "likes", "football"}};

v1::Tensor Int32Tensor(const std::vector<int64_t>& shape, const std::vector<int32_t>& values) {
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_INT32);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  tensor.set_data(values.data(), values.size() * sizeof(int32_t));
  return tensor;
}

TEST(FormatResults, AlignsTablesBesideTheirWords) {
  v1::ComputeAttentionResponse response;
  *response.mutable_attention_weights() =
      MakeTensor({1, 1, 2, 3}, {0.1f, 0.2f, 0.7f, 0.25f, 0.25f, 0.5f});
  *response.mutable_output() = MakeTensor({2, 2}, {1, -20, 3, 4});
  EXPECT_EQ(*FormatResults(response, kNames),
            R"(attention_weights [1, 1, 2, 3]: the scores, masked and normalised along each row
          jim   likes  football
  jim  0.1000  0.2000    0.7000
likes  0.2500  0.2500    0.5000

output [2, 2]: attention_weights * value
          [0]       [1]
  jim  1.0000  -20.0000
likes  3.0000    4.0000

)");
}

TEST(FormatResults, GivesEachSequenceAndHeadATable) {
  v1::ComputeAttentionResponse response;
  *response.mutable_attention_scores() = MakeTensor({2, 2, 1, 1}, {1, 2, 3, 4});
  EXPECT_EQ(*FormatResults(response, TokenNames()),
            R"(attention_scores [2, 2, 1, 1]: scale * query * key^T, or the stage asked for
sequence 0, head 0
        k0
q0  1.0000
sequence 0, head 1
        k0
q0  2.0000
sequence 1, head 0
        k0
q0  3.0000
sequence 1, head 1
        k0
q0  4.0000

)");
}

TEST(FormatResults, GivesTheWeightedValuesOfEachKeyATable) {
  v1::ComputeAttentionResponse response;
  *response.mutable_weighted_values() = MakeTensor({1, 1, 2, 2, 1}, {1, 2, 3, 4});
  EXPECT_EQ(*FormatResults(response, kNames),
            R"(weighted_values [1, 1, 2, 2, 1]: attention weight times value, for each key
key jim
          [0]
  jim  1.0000
likes  2.0000
key likes
          [0]
  jim  3.0000
likes  4.0000

)");
}

TEST(FormatResults, NamesTheMostAttendedKeys) {
  v1::ComputeAttentionResponse response;
  *response.mutable_top_keys()->mutable_indices() = Int32Tensor({1, 1, 2, 2}, {2, 1, 0, 9});
  *response.mutable_top_keys()->mutable_attention_weights() =
      MakeTensor({1, 1, 2, 2}, {0.7f, 0.2f, 0.5f, 0.25f});
  EXPECT_EQ(*FormatResults(response, kNames),
            "top_keys: the most attended keys of each query\n"
            "  jim -> football 70.0 %, likes 20.0 %\n"
            "likes -> jim 50.0 %, k9 25.0 %\n\n");
}

TEST(FormatResults, KeepsLargeAndInfiniteNumbersReadable) {
  v1::ComputeAttentionResponse response;
  *response.mutable_log_sum_exp() = MakeTensor({1, 1, 2}, {-INFINITY, 0.5f});
  *response.mutable_output() = MakeTensor({1, 2}, {1e30f, 0.5f});
  const std::string text = *FormatResults(response, kNames);
  EXPECT_THAT(text, HasSubstr("head 0  -inf  0.5000\n"));
  EXPECT_THAT(text, HasSubstr("jim  1.0000e+30  5.0000e-01\n"));
}

TEST(FormatResults, TellsTheTimes) {
  v1::ComputeAttentionResponse response;
  response.mutable_timing()->mutable_compute()->set_nanos(12500);
  EXPECT_EQ(*FormatResults(response, kNames),
            "time on the server: queue 0, decode 0, prepare 0, compute 12.5us\n");
}

TEST(FormatResults, RefusesTensorsThatAreNotWhatTheirShapeSays) {
  v1::ComputeAttentionResponse response;
  *response.mutable_output() = MakeTensor({int64_t{1} << 40, 1}, {1});
  const absl::Status status = FormatResults(response, kNames).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the server's output cannot be read"));

  response.clear_output();
  *response.mutable_top_keys()->mutable_indices() = Int32Tensor({1, 1, 1, 2}, {0, 1});
  *response.mutable_top_keys()->mutable_attention_weights() = MakeTensor({1, 1, 1, 1}, {1});
  EXPECT_EQ(FormatResults(response, kNames).status().code(), absl::StatusCode::kInternal);
}

TEST(FormatResults, ShowsTensorsOfAnyRank) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{6}, {2, 3}, {1, 2, 3}, {1, 1, 2, 3}, {1, 1, 1, 2, 3}}) {
    v1::ComputeAttentionResponse response;
    *response.mutable_output() = MakeTensor(shape, {1, 2, 3, 4, 5, 6});
    EXPECT_THAT(*FormatResults(response, kNames), HasSubstr("1.0000  2.0000  3.0000"));
  }
}

}  // namespace
}  // namespace attention::client
