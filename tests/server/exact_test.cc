// Exact to the bit: a call gives the same bytes alone, in a batch and in a ragged batch, with one
// thread and with two, and whichever results are asked for beside them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/tensor.h"
#include "tests/kernels/problem.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using client::MakeTensor;
using Request = v1::ComputeAttentionRequest;

constexpr int64_t kHeads = 4, kKvHeads = 2, kDim = 24, kModel = 20;

// Lengths on both sides of each tile of the kernels.
const std::vector<int64_t> kLengths = {1, 2, 3, 17, 63, 64, 65, 130};

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
  const Request request = MakeRequest(kLengths, true);
  const std::string two = OutputBytes(request);
  Start({.port = 0, .threads = 1});
  EXPECT_EQ(OutputBytes(request), two);
}

TEST_P(Exact, WhicheverResultsAreAskedForBeside) {
  for (const int64_t len : kLengths) {
    Request request = MakeRequest({len}, false);
    const std::string alone = OutputBytes(request);
    for (int result = v1::RESULT_OUTPUT; result <= v1::Result_MAX; ++result) {
      request.add_results(static_cast<v1::Result>(result));
      EXPECT_EQ(OutputBytes(request), alone) << len << " with " << v1::Result_Name(result);
    }
    request.mutable_config()->set_average_attention_weights(true);
    EXPECT_EQ(OutputBytes(request), alone) << len << " with averaged weights";
  }
}

TEST_P(Exact, TheOtherResultsOfARaggedBatchAreThoseOfEachSequence) {
  Request together = MakeRequest(kLengths, true);
  v1::ComputeAttentionResponse want;
  for (int result = v1::RESULT_OUTPUT; result <= v1::Result_MAX; ++result) {
    together.add_results(static_cast<v1::Result>(result));
  }
  const auto append = [](const v1::Tensor& from, v1::Tensor& to) {
    to.mutable_data()->append(from.data());
  };
  for (const int64_t len : kLengths) {
    Request request = MakeRequest({len}, false);
    *request.mutable_results() = together.results();
    const v1::ComputeAttentionResponse one = Compute(request);
    append(one.attention_scores(), *want.mutable_attention_scores());
    append(one.attention_weights(), *want.mutable_attention_weights());
    append(one.query(), *want.mutable_query());
    append(one.key(), *want.mutable_key());
    append(one.value(), *want.mutable_value());
    append(one.weighted_values(), *want.mutable_weighted_values());
    append(one.top_keys().indices(), *want.mutable_top_keys()->mutable_indices());
    append(one.log_sum_exp(), *want.mutable_log_sum_exp());
    append(one.present_key(), *want.mutable_present_key());
  }
  const v1::ComputeAttentionResponse got = Compute(together);
  EXPECT_EQ(got.attention_scores().data(), want.attention_scores().data());
  EXPECT_EQ(got.attention_weights().data(), want.attention_weights().data());
  EXPECT_EQ(got.query().data(), want.query().data());
  EXPECT_EQ(got.key().data(), want.key().data());
  EXPECT_EQ(got.value().data(), want.value().data());
  EXPECT_EQ(got.weighted_values().data(), want.weighted_values().data());
  EXPECT_EQ(got.top_keys().indices().data(), want.top_keys().indices().data());
  EXPECT_EQ(got.log_sum_exp().data(), want.log_sum_exp().data());
  EXPECT_EQ(got.present_key().data(), want.present_key().data());
  EXPECT_EQ(got.present_value().data(), want.value().data());
  EXPECT_EQ(got.log_sum_exp().shape_size(), 1);
  EXPECT_EQ(got.log_sum_exp().shape(0), kHeads * Sum(kLengths));
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
