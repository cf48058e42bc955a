#include "kernels/encoder/encoder_op.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <numeric>

#include "kernels/reference/reference_encoder.h"
#include "tests/kernels/problem.h"
#include "tests/random_encoder.h"

namespace attention {
namespace {

constexpr EncoderShape kSmall = {.d_model = 48, .num_heads = 3, .ffn_dim = 100};

// A stack of layers, and a batch that goes through it.
struct Stack {
  explicit Stack(const EncoderShape& s, std::vector<int64_t> sequence_lens = {5, 0, 70, 1},
                 int layer_count = 2)
      : shape(s), lens(std::move(sequence_lens)) {
    for (int i = 0; i < layer_count; ++i)
      layers.push_back(weights.emplace_back(s, 100 * i).layer());
    x = RandomFloats(std::accumulate(lens.begin(), lens.end(), int64_t{0}) * s.d_model, 7);
  }

  // The hidden states behind all layers.
  std::vector<float> Run(ComputeType type = ComputeType::kFloat32, int threads = 2) {
    const absl::StatusOr<EncoderOp> op = EncoderOp::Create({.shape = shape, .compute_type = type});
    if (!op.ok()) ADD_FAILURE() << op.status();
    std::vector<float> y = x;
    EncoderBatch now = batch;
    now.lens = lens;
    now.x = y.data();
    Executor executor(threads);
    const absl::Status status = op->Run(layers, final_norm, now, executor);
    EXPECT_TRUE(status.ok()) << status;
    return y;
  }

  // The same by the definition; after[i] is what stands behind layer i.
  std::vector<double> Want() {
    std::vector<double> all;
    after.assign(layers.size(), {});
    const float* from = x.data();
    for (size_t b = 0; b < lens.size(); ++b) {
      std::vector<float> rows(from, from + lens[b] * shape.d_model);
      from += lens[b] * shape.d_model;
      std::vector<int64_t> every(lens[b]);
      std::iota(every.begin(), every.end(), 0);
      std::vector<double> y;
      for (size_t i = 0; i < layers.size(); ++i) {
        const MaskView mask = batch.masks.empty() ? MaskView() : batch.masks[b];
        y = ReferenceEncoderLayer(shape, layers[i], batch.settings, mask, rows, every);
        rows.assign(y.begin(), y.end());
        after[i].insert(after[i].end(), y.begin(), y.end());
      }
      if (final_norm != nullptr) y = ReferenceLayerNorm(y, shape.d_model, *final_norm);
      all.insert(all.end(), y.begin(), y.end());
    }
    return all;
  }

  EncoderShape shape;
  std::vector<int64_t> lens;
  std::deque<RandomLayer> weights;
  std::vector<EncoderLayer> layers;
  const LayerNorm* final_norm = nullptr;
  EncoderBatch batch;  // lens and x apart
  std::vector<float> x;
  std::vector<std::vector<double>> after;
};

double Largest(const std::vector<double>& numbers) {
  double largest = 0;
  for (const double x : numbers) largest = std::max(largest, std::abs(x));
  return largest;
}

// bfloat16: what goes into a product is rounded by 2^-8 of its size at most and 2^-9 in the mean,
// to both sides; a layer rounds its input, queries and keys, weights and values, heads, and what
// lies between its two last products: five in a row.
double Tolerance(ComputeType type, const std::vector<double>& want, size_t layers) {
  const double unit = type == ComputeType::kFloat32 ? 2e-6 : 5.0 / 512;
  return unit * static_cast<double>(layers) * Largest(want);
}

class Encoders : public testing::TestWithParam<std::tuple<NormPosition, Activation, ComputeType>> {
};

TEST_P(Encoders, MatchTheOracle) {
  const auto& [norm_position, activation, type] = GetParam();
  EncoderShape shape = kSmall;
  shape.block = {.norm_position = norm_position, .activation = activation};
  Stack stack(shape);
  const std::vector<double> want = stack.Want();
  EXPECT_TRUE(Near(stack.Run(type), want, Tolerance(type, want, 2)));

  const LayerNorm final_norm = stack.layers[0].ffn_norm;
  stack.final_norm = &final_norm;
  const std::vector<double> normed = stack.Want();
  EXPECT_TRUE(Near(stack.Run(type), normed, Tolerance(type, normed, 3)));
}

INSTANTIATE_TEST_SUITE_P(
    All, Encoders,
    testing::Combine(testing::Values(NormPosition::kBehind, NormPosition::kBefore),
                     testing::Values(Activation::kRelu, Activation::kGelu, Activation::kGeluTanh),
                     testing::Values(ComputeType::kFloat32, ComputeType::kBfloat16)));

class EachType : public testing::TestWithParam<ComputeType> {};
INSTANTIATE_TEST_SUITE_P(Types, EachType,
                         testing::Values(ComputeType::kFloat32, ComputeType::kBfloat16));

TEST_P(EachType, GivesASequenceTheSameBitsInAnyBatchAndOnAnyThreads) {
  for (const NormPosition norm_position : {NormPosition::kBehind, NormPosition::kBefore}) {
    EncoderShape shape = kSmall;
    shape.block.norm_position = norm_position;
    Stack batch(shape, {5, 0, 70, 1, 33});
    const std::vector<float> together = batch.Run(GetParam());
    EXPECT_EQ(batch.Run(GetParam(), 1), together);
    auto from = together.begin();
    auto x = batch.x.begin();
    for (const int64_t len : batch.lens) {
      Stack alone(shape, {len});
      alone.x.assign(x, x + len * shape.d_model);
      EXPECT_EQ(alone.Run(GetParam()), std::vector<float>(from, from + len * shape.d_model));
      from += len * shape.d_model;
      x += len * shape.d_model;
    }
  }
}

TEST_P(EachType, GivesTheSameBitsWithPackedWeights) {
  Stack stack(kSmall);
  const std::vector<float> want = stack.Run(GetParam());
  std::deque<PackedLayer> packed;
  for (EncoderLayer& layer : stack.layers) layer = packed.emplace_back(layer, GetParam()).layer();
  EXPECT_EQ(stack.Run(GetParam()), want);
}

TEST_P(EachType, ManyTokensGoThroughTheFeedForwardPartInSeveralParts) {
  Stack stack({.d_model = 8, .num_heads = 1, .ffn_dim = 12}, {700, 700}, 1);
  const std::vector<double> want = stack.Want();
  EXPECT_TRUE(Near(stack.Run(GetParam()), want, Tolerance(GetParam(), want, 1)));
}

TEST(EncoderOp, LetsATokenSeeWhatCausalityAndMasksLetItSee) {
  Stack stack(kSmall, {6, 9});
  stack.batch.settings.causal = true;
  const std::vector<double> causal = stack.Want();
  EXPECT_TRUE(Near(stack.Run(), causal, Tolerance(ComputeType::kFloat32, causal, 2)));

  const std::vector<uint8_t> sees = {1, 0, 1, 1, 0, 1, 1, 1, 0};
  const MaskView mask = {.visible = sees.data(), .key_count = 9};
  const std::vector<MaskView> masks = {mask, mask};
  stack.batch.masks = masks;
  const std::vector<double> masked = stack.Want();
  EXPECT_TRUE(Near(stack.Run(), masked, Tolerance(ComputeType::kFloat32, masked, 2)));
  EXPECT_GT(std::abs(masked[0] - causal[20 * 9]), 0);
}

TEST(EncoderOp, TakesEverySettingOfItsAttention) {
  const std::vector<float> slopes = {0.5f, 0.25f, 0.125f};
  const std::vector<float> sinks = {0.3f, -1.0f, 2.0f};
  const std::vector<float> bias = RandomFloats(3 * 40 * 40, 7);  // another mask for each head
  const MaskView by_head = {
      .bias = bias.data(), .head_stride = 40 * 40, .row_stride = 40, .key_count = 40};
  const std::vector<MaskView> masks(3, by_head);
  const std::pair<const char*, std::function<void(EncoderBatch&)>> cases[] = {
      {"ALiBi", [&](EncoderBatch& batch) { batch.settings.alibi_slopes = slopes; }},
      {"a window",
       [](EncoderBatch& batch) { batch.settings.left_window = batch.settings.right_window = 3; }},
      {"softcap", [](EncoderBatch& batch) { batch.settings.softcap = 2; }},
      {"sinks", [&](EncoderBatch& batch) { batch.settings.sinks = sinks; }},
      {"masks by head", [&](EncoderBatch& batch) { batch.masks = masks; }}};
  for (const auto& [name, set] : cases) {
    Stack stack(kSmall, {6, 40, 17});
    const std::vector<double> plain = stack.Want();
    set(stack.batch);
    const std::vector<double> want = stack.Want();
    EXPECT_NE(want, plain) << name;
    EXPECT_TRUE(Near(stack.Run(), want, Tolerance(ComputeType::kFloat32, want, 2))) << name;
  }
}

TEST(EncoderOp, ReturnsHiddenStatesAndAttentionOfEachLayer) {
  Stack stack(kSmall, {5, 3});
  std::vector<float> hidden[2], weights(2 * (25 + 9)), scores(2 * (25 + 9));
  for (std::vector<float>& states : hidden) states.resize(stack.x.size());
  const EncoderBatch::Probe probes[] = {{.layer = 0, .hidden_states = hidden[0].data()},
                                        {.layer = 1,
                                         .hidden_states = hidden[1].data(),
                                         .first_head = 1,
                                         .num_heads = 2,
                                         .attention_scores = scores.data(),
                                         .attention_weights = weights.data()}};
  const std::vector<float> without = stack.Run();
  stack.batch.probes = probes;
  EXPECT_EQ(stack.Run(), without) << "looking changes nothing";
  const std::vector<double> want = stack.Want();
  for (const int i : {0, 1}) {
    EXPECT_TRUE(
        Near(hidden[i], stack.after[i], Tolerance(ComputeType::kFloat32, stack.after[i], 2)));
  }
  // Each row of weights is the softmax of its row of scores.
  const float* w = weights.data();
  const float* s = scores.data();
  for (const int64_t len : {5, 3}) {
    for (int64_t row = 0; row < 2 * len; ++row, w += len, s += len) {
      double sum = 0;
      for (int64_t j = 0; j < len; ++j) sum += std::exp(s[j]);
      for (int64_t j = 0; j < len; ++j) EXPECT_NEAR(w[j], std::exp(s[j]) / sum, 1e-6);
    }
  }
}

TEST(EncoderOp, RotatesQueriesAndKeysByPosition) {
  Stack stack(kSmall, {4, 4}, 1);
  // Both sequences hold the same token four times: only their places tell them apart.
  for (int64_t i = kSmall.d_model; i < 8 * kSmall.d_model; ++i) {
    stack.x[i] = stack.x[i % kSmall.d_model];
  }
  std::vector<float> scores(2 * 3 * 16);
  const EncoderBatch::Probe probe = {.layer = 0, .num_heads = 3, .attention_scores = scores.data()};
  stack.batch.probes = {&probe, 1};
  stack.Run();
  EXPECT_NEAR(scores[0], scores[1], 1e-6);
  stack.batch.rotary = RotarySettings{.rotary_dim = 16};
  stack.Run();
  EXPECT_GT(std::abs(scores[0] - scores[1]), 1e-3);
  EXPECT_NEAR(scores[1], scores[4 + 2], 1e-6) << "distances count, not places";
  EXPECT_NEAR(scores[4], scores[3 * 4 + 2], 1e-6);
  for (int i = 0; i < 48; ++i) EXPECT_EQ(scores[i], scores[48 + i]) << "both start at 0";
}

}  // namespace
}  // namespace attention
