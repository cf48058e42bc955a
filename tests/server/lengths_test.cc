// Sequences of many lengths through the API: a past, key lengths, alignments and ragged batches.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "client/tensor.h"
#include "tests/kernels/problem.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using Request = v1::ComputeAttentionRequest;

class Lengths : public RunningServer {
 protected:
  static constexpr int64_t kHeads = 4, kKvHeads = 2, kDim = 8;

  // [1, heads, len, kDim], the same numbers for the same seed however long.
  static v1::Tensor Tokens(int64_t heads, int64_t first, int64_t end, int seed,
                           v1::DataType type = v1::DATA_TYPE_FLOAT32) {
    constexpr int64_t kLongest = 40;
    const std::vector<float> all = RandomFloats(heads * kLongest * kDim, seed);
    std::vector<float> numbers;
    for (int64_t h = 0; h < heads; ++h) {
      const auto head = all.begin() + h * kLongest * kDim;
      numbers.insert(numbers.end(), head + first * kDim, head + end * kDim);
    }
    return MakeTensor({1, heads, end - first, kDim}, numbers, type);
  }

  // Queries [q_first, q_end) and keys [0, kv_len) of one sequence.
  static Request Cross(int64_t q_first, int64_t q_end, int64_t kv_len) {
    Request request;
    v1::ProjectedSource& source = *request.mutable_projected();
    *source.mutable_query() = Tokens(kHeads, q_first, q_end, 1);
    *source.mutable_key() = Tokens(kKvHeads, 0, kv_len, 2);
    *source.mutable_value() = Tokens(kKvHeads, 0, kv_len, 3);
    request.add_results(v1::RESULT_OUTPUT);
    return request;
  }

  std::vector<float> Output(const Request& request) const {
    auto values = client::FloatValues(Compute(request).output());
    EXPECT_TRUE(values.ok()) << values.status();
    return values.value_or(std::vector<float>());
  }

  // The rows of queries [first, end) of an output of `len` queries.
  static std::vector<float> Rows(const std::vector<float>& output, int64_t len, int64_t first,
                                 int64_t end) {
    std::vector<float> rows;
    for (int64_t h = 0; h < kHeads; ++h) {
      const auto head = output.begin() + h * len * kDim;
      rows.insert(rows.end(), head + first * kDim, head + end * kDim);
    }
    return rows;
  }
};

void ExpectNear(const std::vector<float>& got, const std::vector<float>& want) {
  EXPECT_TRUE(Near(got, {want.begin(), want.end()}, 1e-6));
}

// What a decoder does: a prompt, then token by token with what is there already.
TEST_F(Lengths, ASequenceInStepsWithItsPastIsTheSequenceAtOnce) {
  for (const bool rotary : {false, true}) {
    Request whole = Cross(0, 13, 13);
    whole.mutable_config()->set_causal(true);
    if (rotary) whole.mutable_config()->mutable_rotary()->set_rotary_dim(4);
    const std::vector<float> want = Output(whole);

    v1::Tensor past_key = MakeTensor({1, kKvHeads, 0, kDim}, {});  // still empty
    v1::Tensor past_value = past_key;
    int64_t first = 0;
    for (const int64_t end : {10, 11, 13}) {
      Request step;
      *step.mutable_config() = whole.config();
      v1::ProjectedSource& source = *step.mutable_projected();
      *source.mutable_query() = Tokens(kHeads, first, end, 1);
      *source.mutable_key() = Tokens(kKvHeads, first, end, 2);
      *source.mutable_value() = Tokens(kKvHeads, first, end, 3);
      *source.mutable_past_key() = past_key;
      *source.mutable_past_value() = past_value;
      for (const auto result : {v1::RESULT_OUTPUT, v1::RESULT_PRESENT_KEY, v1::RESULT_KEY,
                                v1::RESULT_PRESENT_VALUE, v1::RESULT_LOG_SUM_EXP}) {
        step.add_results(result);
      }
      const v1::ComputeAttentionResponse response = Compute(step);
      ExpectNear(Floats(response.output(), {1, kHeads, end - first, kDim}),
                 Rows(want, 13, first, end));
      EXPECT_EQ(response.key().shape(2), end - first);
      past_key = response.present_key();
      past_value = response.present_value();
      EXPECT_EQ(past_key.shape(2), end);
      first = end;
    }
    EXPECT_EQ(past_value.data(), Tokens(kKvHeads, 0, 13, 3).data());
    if (!rotary) {
      EXPECT_EQ(past_key.data(), Tokens(kKvHeads, 0, 13, 2).data());
    }
  }
}

TEST_F(Lengths, APastMayHaveAnotherTypeThanTheNewKeys) {
  Request request;
  v1::ProjectedSource& source = *request.mutable_projected();
  *source.mutable_query() = Tokens(kHeads, 0, 2, 1);
  *source.mutable_key() = Tokens(kKvHeads, 5, 7, 2, v1::DATA_TYPE_BFLOAT16);
  *source.mutable_value() = Tokens(kKvHeads, 5, 7, 3);
  *source.mutable_past_key() = Tokens(kKvHeads, 0, 5, 2, v1::DATA_TYPE_FLOAT16);
  *source.mutable_past_value() = Tokens(kKvHeads, 0, 5, 3, v1::DATA_TYPE_FLOAT64);
  for (const auto result : {v1::RESULT_OUTPUT, v1::RESULT_PRESENT_KEY, v1::RESULT_PRESENT_VALUE}) {
    request.add_results(result);
  }
  const v1::ComputeAttentionResponse response = Compute(request);
  EXPECT_EQ(response.output().data_type(), v1::DATA_TYPE_FLOAT32);
  EXPECT_EQ(response.present_key().data_type(), v1::DATA_TYPE_BFLOAT16);
  EXPECT_EQ(response.present_value().data(), Tokens(kKvHeads, 0, 7, 3).data());
  EXPECT_TRUE(Near(
      *client::FloatValues(response.output()),
      [&] {
        const std::vector<float> want = Output(Cross(0, 2, 7));
        return std::vector<double>(want.begin(), want.end());
      }(),
      0.01));
}

// The padding holds NaNs: it must not matter what it holds.
TEST_F(Lengths, KeysBehindTheKeyLengthAreNotSeen) {
  Request padded = Cross(0, 3, 12);
  padded.mutable_projected()->add_kv_lens(7);
  for (v1::Tensor* tensor :
       {padded.mutable_projected()->mutable_key(), padded.mutable_projected()->mutable_value()}) {
    std::vector<float> numbers = *client::FloatValues(*tensor);
    for (int64_t h = 0; h < kKvHeads; ++h) {
      std::fill(numbers.begin() + (h * 12 + 7) * kDim, numbers.begin() + (h + 1) * 12 * kDim, kNan);
    }
    *tensor = MakeTensor({1, kKvHeads, 12, kDim}, numbers);
  }
  ExpectNear(Output(padded), Output(Cross(0, 3, 7)));

  // The caller keeps a cache that is 7 full, the queries are its last tokens.
  padded.mutable_config()->set_causal(true);
  Request tight = Cross(0, 3, 7);
  tight.mutable_config()->set_causal(true);
  tight.mutable_config()->set_causal_alignment(v1::CAUSAL_ALIGNMENT_BOTTOM_RIGHT);
  ExpectNear(Output(padded), Output(tight));

  padded.mutable_projected()->set_kv_lens(0, 0);
  EXPECT_EQ(Output(padded), std::vector<float>(kHeads * 3 * kDim, 0));
}

TEST_F(Lengths, AlignmentSaysWhereTheFirstQueryStands) {
  const auto weights = [&](int64_t q_len, int64_t kv_len, v1::CausalAlignment alignment) {
    Request request = Cross(0, q_len, kv_len);
    request.mutable_config()->set_causal(true);
    request.mutable_config()->set_causal_alignment(alignment);
    request.set_results(0, v1::RESULT_ATTENTION_WEIGHTS);
    return *client::FloatValues(Compute(request).attention_weights());
  };
  const auto seen = [](const std::vector<float>& all, int64_t row, int64_t kv_len) {
    return kv_len - std::count(&all[row * kv_len], &all[row * kv_len] + kv_len, 0.0f);
  };
  for (const auto alignment : {v1::CAUSAL_ALIGNMENT_UNSPECIFIED, v1::CAUSAL_ALIGNMENT_TOP_LEFT}) {
    const std::vector<float> top_left = weights(2, 5, alignment);
    EXPECT_EQ(seen(top_left, 0, 5), 1);
    EXPECT_EQ(seen(top_left, 1, 5), 2);
  }
  const std::vector<float> bottom_right = weights(2, 5, v1::CAUSAL_ALIGNMENT_BOTTOM_RIGHT);
  EXPECT_EQ(seen(bottom_right, 0, 5), 4);
  EXPECT_EQ(seen(bottom_right, 1, 5), 5);
  const std::vector<float> negative = weights(5, 2, v1::CAUSAL_ALIGNMENT_BOTTOM_RIGHT);
  for (const int row : {0, 1, 2}) EXPECT_EQ(seen(negative, row, 2), 0);
  EXPECT_EQ(seen(negative, 3, 2), 1);
}

TEST_F(Lengths, ARaggedBatchMayHoldEmptySequences) {
  Request request;
  v1::ProjectedSource& source = *request.mutable_projected();
  *source.mutable_query() = MakeTensor({3, 4}, RandomFloats(12, 1));
  *source.mutable_key() = MakeTensor({5, 4}, RandomFloats(20, 2));
  *source.mutable_value() = MakeTensor({5, 2}, RandomFloats(10, 3));
  for (const int len : {0, 2, 1, 0}) source.add_q_lens(len);
  for (const int len : {3, 2, 0, 0}) source.add_kv_lens(len);
  for (const auto result :
       {v1::RESULT_OUTPUT, v1::RESULT_ATTENTION_WEIGHTS, v1::RESULT_LOG_SUM_EXP}) {
    request.add_results(result);
  }
  const v1::ComputeAttentionResponse response = Compute(request);
  const std::vector<float> output = Floats(response.output(), {3, 2});
  EXPECT_EQ((std::vector<float>{output[4], output[5]}), (std::vector<float>{0, 0}));
  EXPECT_EQ(Floats(response.attention_weights(), {4}).size(), 4);
  EXPECT_EQ(Floats(response.log_sum_exp(), {3})[2], -kInf);
}

// Each sequence of a ragged batch reads the corner of the mask that it has rows and keys for.
TEST_F(Lengths, ARaggedBatchSharesAMask) {
  const auto request = [](const std::vector<int>& lens, int64_t first_row) {
    Request made;
    const std::vector<float> all = RandomFloats(5 * 4, 1);
    int64_t rows = 0;
    for (const int len : lens) rows += len;
    *made.mutable_tokens()->mutable_tokens() =
        MakeTensor({rows, 4}, absl::MakeConstSpan(all).subspan(first_row * 4, rows * 4));
    *made.mutable_config()->mutable_mask() =
        MakeTensor({3, 3}, std::vector<float>{0, -kInf, 1, 2, 0, -1, 0, 3, -kInf});
    if (lens.size() > 1) made.mutable_tokens()->mutable_q_lens()->Assign(lens.begin(), lens.end());
    made.add_results(v1::RESULT_OUTPUT);
    return made;
  };
  const std::vector<float> together = Output(request({2, 3}, 0));
  Request first = request({2}, 0);
  *first.mutable_config()->mutable_mask() = MakeTensor({2, 2}, std::vector<float>{0, -kInf, 2, 0});
  std::vector<float> apart = Output(first);
  const std::vector<float> second = Output(request({3}, 2));
  apart.insert(apart.end(), second.begin(), second.end());
  EXPECT_EQ(together, apart);
}

// Padded or ragged, a token stands where it stands: key lengths of tokens say what is padding, and
// are not the fill of a cache.
TEST_F(Lengths, TokensWithPaddingGiveWhatTheyGiveWithoutIt) {
  const std::vector<float> numbers = RandomFloats(2 * 4 * 3, 1);
  Request padded, ragged;
  *padded.mutable_tokens()->mutable_tokens() = MakeTensor({2, 4, 3}, numbers);
  *ragged.mutable_tokens()->mutable_tokens() =
      MakeTensor({6, 3}, std::vector<float>(numbers.begin(), numbers.begin() + 6 * 3));
  for (const int len : {4, 2}) {
    padded.mutable_tokens()->add_kv_lens(len);
    ragged.mutable_tokens()->add_q_lens(len);
  }
  const auto expect_equal = [&] {
    std::vector<float> with = Floats(Compute(padded).output(), {2, 4, 3});
    with.resize(6 * 3);
    EXPECT_EQ(with, Floats(Compute(ragged).output(), {6, 3}));
  };
  expect_equal();
  for (Request* request : {&padded, &ragged}) request->mutable_config()->set_causal(true);
  expect_equal();
  for (Request* request : {&padded, &ragged}) {
    v1::AttentionConfig& config = *request->mutable_config();
    config.set_causal(false);
    config.set_left_window(1);
    config.add_alibi_slopes(0.5f);
  }
  expect_equal();
}

}  // namespace
}  // namespace attention
