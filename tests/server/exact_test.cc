// Exact to the bit: a call gives the same bytes alone, in a batch and in a ragged batch, with one
// thread and with two, and whichever results are asked for beside them.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "client/tensor.h"
#include "tests/kernels/problem.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using Request = v1::ComputeAttentionRequest;

constexpr int64_t kHeads = 4, kKvHeads = 2, kDim = 24, kModel = 20;

// Lengths on both sides of each tile of the kernels, and one of several blocks of keys.
const std::vector<int64_t> kShortLengths = {1, 2, 3, 17, 63, 64, 65, 130};
const std::vector<int64_t> kLengths = {1, 2, 3, 17, 63, 64, 65, 130, 700};

struct Variant {
  const char* name;
  bool learned;  // tokens with projections; else query, key and value
  v1::ComputeType compute_type;
  v1::DataType data_type;
};

class Exact : public RunningServer, public testing::WithParamInterface<Variant> {
 protected:
  static int64_t Sum(const std::vector<int64_t>& lens) {
    int64_t sum = 0;
    for (const int64_t len : lens) sum += len;
    return sum;
  }

  // The numbers of each of these sequences, which are told apart by their seeds.
  static std::vector<float> Numbers(const std::vector<int64_t>& lens, int64_t width,
                                    int first_seed) {
    std::vector<float> numbers;
    for (size_t i = 0; i < lens.size(); ++i) {
      const std::vector<float> more = RandomFloats(lens[i] * width, first_seed + 100 * lens[i]);
      numbers.insert(numbers.end(), more.begin(), more.end());
    }
    return numbers;
  }

  // These sequences: ragged [sum of lens, width] or, equally long, [batch, len, width].
  static Request MakeRequest(const std::vector<int64_t>& lens, bool ragged) {
    const Variant& variant = GetParam();
    const auto tensor = [&](int64_t width, int seed) {
      const auto batch = static_cast<int64_t>(lens.size());
      const std::vector<int64_t> shape = ragged ? std::vector<int64_t>{Sum(lens), width}
                                                : std::vector<int64_t>{batch, lens[0], width};
      return MakeTensor(shape, Numbers(lens, width, seed), variant.data_type);
    };
    Request request;
    if (variant.learned) {
      v1::TokensSource& source = *request.mutable_tokens();
      *source.mutable_tokens() = tensor(kModel, 1);
      v1::ProjectionWeights& w = *source.mutable_projection_weights();
      const auto weight = [](int64_t in, int64_t out, int seed) {
        return MakeTensor({in, out}, RandomFloats(in * out, seed), GetParam().data_type);
      };
      *w.mutable_q_proj() = weight(kModel, kHeads * kDim, 11);
      *w.mutable_k_proj() = weight(kModel, kKvHeads * kDim, 12);
      *w.mutable_v_proj() = weight(kModel, kKvHeads * kDim, 13);
      *w.mutable_o_proj() = weight(kHeads * kDim, kModel, 14);
      if (ragged) source.mutable_q_lens()->Assign(lens.begin(), lens.end());
    } else {
      v1::ProjectedSource& source = *request.mutable_projected();
      *source.mutable_query() = tensor(kHeads * kDim, 1);
      *source.mutable_key() = tensor(kKvHeads * kDim, 2);
      *source.mutable_value() = tensor(kKvHeads * kDim, 3);
      if (ragged) source.mutable_q_lens()->Assign(lens.begin(), lens.end());
    }
    v1::AttentionConfig& config = *request.mutable_config();
    config.set_num_heads(kHeads);
    config.set_num_kv_heads(kKvHeads);
    config.set_causal(true);
    config.set_compute_type(variant.compute_type);
    config.mutable_rotary();
    request.add_results(v1::RESULT_OUTPUT);
    return request;
  }

  // For results that fit into a message: weighted values grow with the lengths' product.
  static void AskForAll(Request& request, const std::vector<int64_t>& lens) {
    const bool is_short = *std::max_element(lens.begin(), lens.end()) < 200;
    for (int result = v1::RESULT_OUTPUT; result <= v1::Result_MAX; ++result) {
      if (result == v1::RESULT_WEIGHTED_VALUES && !is_short) continue;
      request.add_results(static_cast<v1::Result>(result));
    }
  }

  // Each tensor of `from` with its like in `to`.
  static std::vector<std::pair<const v1::Tensor*, v1::Tensor*>> Pairs(
      const v1::ComputeAttentionResponse& from, v1::ComputeAttentionResponse& to) {
    return {
        {&from.output(), to.mutable_output()},
        {&from.attention_scores(), to.mutable_attention_scores()},
        {&from.attention_weights(), to.mutable_attention_weights()},
        {&from.query(), to.mutable_query()},
        {&from.key(), to.mutable_key()},
        {&from.value(), to.mutable_value()},
        {&from.weighted_values(), to.mutable_weighted_values()},
        {&from.top_keys().indices(), to.mutable_top_keys()->mutable_indices()},
        {&from.top_keys().attention_weights(), to.mutable_top_keys()->mutable_attention_weights()},
        {&from.log_sum_exp(), to.mutable_log_sum_exp()},
        {&from.present_key(), to.mutable_present_key()},
        {&from.present_value(), to.mutable_present_value()}};
  }
  static void ExpectSameBytes(const v1::ComputeAttentionResponse& got,
                              v1::ComputeAttentionResponse want) {
    ASSERT_FALSE(got.output().data().empty());
    int number = 0;
    for (const auto& [one, other] : Pairs(got, want)) {
      EXPECT_TRUE(one->data() == other->data()) << "tensor " << number;
      ++number;
    }
  }

  std::string OutputBytes(const Request& request) const { return Compute(request).output().data(); }
};

TEST_P(Exact, AloneInABatchAndRagged) {
  std::string alone;
  for (const int64_t len : kLengths) {
    const std::string bytes = OutputBytes(MakeRequest({len}, false));
    EXPECT_EQ(OutputBytes(MakeRequest({len, len, len}, false)), bytes + bytes + bytes) << len;
    alone += bytes;
  }
  EXPECT_EQ(OutputBytes(MakeRequest(kLengths, true)), alone);
}

TEST_P(Exact, WithOneThreadAndWithTwo) {
  std::vector<Request> requests;
  std::vector<v1::ComputeAttentionResponse> two;
  for (const std::vector<int64_t>& lens : {kShortLengths, kLengths}) {
    AskForAll(requests.emplace_back(MakeRequest(lens, true)), lens);
    two.push_back(Compute(requests.back()));
  }
  Start({.port = 0, .threads = 1});
  for (size_t i = 0; i < requests.size(); ++i) ExpectSameBytes(Compute(requests[i]), two[i]);
}

// Each result beside all others has the bytes that it has alone.
TEST_P(Exact, WhicheverResultsAreAskedForBeside) {
  for (const int64_t len : kLengths) {
    Request request = MakeRequest({len}, false);
    request.clear_results();
    AskForAll(request, {len});
    const v1::ComputeAttentionResponse all = Compute(request);
    v1::ComputeAttentionResponse apart;
    const Request asked = request;
    for (const int result : asked.results()) {
      request.clear_results();
      request.add_results(static_cast<v1::Result>(result));
      apart.MergeFrom(Compute(request));
    }
    ExpectSameBytes(apart, all);
    AskForAll(request, {len});
    request.mutable_config()->set_average_attention_weights(true);
    EXPECT_EQ(OutputBytes(request), all.output().data()) << len << " with averaged weights";
  }
}

TEST_P(Exact, TheOtherResultsOfARaggedBatchAreThoseOfEachSequence) {
  for (const std::vector<int64_t>& lens : {kShortLengths, kLengths}) {
    Request together = MakeRequest(lens, true);
    AskForAll(together, lens);
    v1::ComputeAttentionResponse want;
    for (const int64_t len : lens) {
      Request request = MakeRequest({len}, false);
      AskForAll(request, lens);
      const v1::ComputeAttentionResponse one = Compute(request);
      for (const auto& [from, to] : Pairs(one, want)) to->mutable_data()->append(from->data());
    }
    const v1::ComputeAttentionResponse got = Compute(together);
    ExpectSameBytes(got, want);
    ASSERT_EQ(got.log_sum_exp().shape_size(), 1);
    EXPECT_EQ(got.log_sum_exp().shape(0), kHeads * Sum(lens));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Calls, Exact,
    testing::Values(
        Variant{"ProjectedFloat32", false, v1::COMPUTE_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT32},
        Variant{"ProjectedBfloat16", false, v1::COMPUTE_TYPE_BFLOAT16, v1::DATA_TYPE_BFLOAT16},
        Variant{"LearnedFloat32", true, v1::COMPUTE_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT32},
        Variant{"LearnedBfloat16", true, v1::COMPUTE_TYPE_BFLOAT16, v1::DATA_TYPE_FLOAT16}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace attention
