#include "kernels/products/linear_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/products/operands.h"
#include "kernels/reference/reference_attention.h"
#include "kernels/simd/convert.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

std::vector<float> AsOperands(const void* x, DataType type, int64_t count, ComputeType compute) {
  Executor executor(1);
  std::vector<float> operands(count);  // room enough for either type
  const OperandFormat format = OnednnMatmul::OperandsFor(compute);
  EXPECT_TRUE(ToOperands(x, type, count, format, operands.data(), executor).ok());
  return operands;
}

// X, W and b of one layer, and its result by the definition.
struct Example {
  Example(int64_t row_count, int64_t in_width, int64_t out_width,
          ComputeType type = ComputeType::kFloat32)
      : rows(row_count),
        in(in_width),
        out(out_width),
        x(RandomFloats(rows * in, 1)),
        operands(AsOperands(x.data(), DataType::kFloat32, rows * in, type)),
        weight(RandomFloats(in * out, 2)),
        bias(RandomFloats(out, 3)),
        y(rows * out, kNan) {}

  LinearOp::Layer Layer() {
    return {.x = operands.data(),
            .rows = rows,
            .linear = {.weight = View(), .bias = bias.data()},
            .y = y.data()};
  }
  WeightView View() const { return {.data = weight.data(), .in = in, .out = out}; }
  RowsView Rows() const { return {x.data(), DataType::kFloat32, in, rows, in}; }
  std::vector<double> Want() const { return ReferenceLinear(Rows(), View(), bias.data()); }

  int64_t rows, in, out;
  std::vector<float> x, operands, weight, bias, y;
};

LinearOp MakeOp(const LinearOp::Config& config) {
  absl::StatusOr<LinearOp> op = LinearOp::Create(config);
  if (!op.ok()) ADD_FAILURE() << op.status();
  return *std::move(op);
}

void Compute(const LinearOp& op, absl::Span<const LinearOp::Layer> layers, int threads = 2) {
  Executor executor(threads);
  const absl::Status status = op.Run(layers, executor);
  EXPECT_TRUE(status.ok()) << status;
}

class LinearOpRows : public testing::TestWithParam<int> {};

TEST_P(LinearOpRows, MatchTheOracleWithAndWithoutBias) {
  Example example(GetParam(), 37, 19);
  const LinearOp op = MakeOp({.in = 37});
  Compute(op, {example.Layer()});
  EXPECT_TRUE(Near(example.y, example.Want(), 1e-5));

  LinearOp::Layer without = example.Layer();
  without.linear.bias = nullptr;
  Compute(op, {without});
  EXPECT_TRUE(Near(example.y, ReferenceLinear(example.Rows(), example.View(), nullptr), 1e-5));
}

TEST_P(LinearOpRows, MultiplyNumbersOfOtherTypesAsBfloat16) {
  Example example(GetParam(), 37, 130);
  const std::vector<double> wide(example.x.begin(), example.x.end());
  example.operands =
      AsOperands(wide.data(), DataType::kFloat64, GetParam() * 37, ComputeType::kBfloat16);
  std::vector<uint16_t> narrow(example.weight.size());
  FromFloat32(example.weight.data(), 37 * 130, DataType::kFloat16, narrow.data());
  LinearOp::Layer layer = example.Layer();
  layer.linear.weight.data = narrow.data();
  layer.linear.weight.type = DataType::kFloat16;
  Compute(MakeOp({.in = 37, .compute_type = ComputeType::kBfloat16}), {layer});
  EXPECT_TRUE(Near(example.y,
                   ReferenceLinear(example.Rows(), layer.linear.weight, example.bias.data()),
                   37 / 128.0));
}

INSTANTIATE_TEST_SUITE_P(EachTile, LinearOpRows,
                         testing::Values(1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 200, 600));

// Y of some rows alone, from what `before` holds there.
std::vector<float> ComputeRows(const LinearOp& op, const LinearOp::Config& config,
                               const Example& example, const std::vector<float>& before,
                               int64_t first, int64_t count) {
  const int64_t x_size = ByteSize(OnednnMatmul::OperandsFor(config.compute_type).operand);
  const int64_t from = first * example.out;
  std::vector<float> y(before.begin() + from, before.begin() + from + count * example.out);
  Compute(op, {{.x = reinterpret_cast<const char*>(example.operands.data()) +
                     first * example.in * x_size,
                .rows = count,
                .linear = {.weight = example.View(), .bias = example.bias.data()},
                .y = y.data()}});
  if (config.y_type != DataType::kBfloat16) return y;
  std::vector<float> wide(y.size());
  ToFloat32(y.data(), DataType::kBfloat16, static_cast<int64_t>(y.size()), wide.data());
  return wide;
}

// What the batching of calls rests on: all tiles add up in one order, whatever follows the product.
TEST(LinearOp, GivesARowTheSameBitsAmongAnyOthers) {
  constexpr int64_t kRows = 149, kOut = 130;  // 64 + 64 + 16 + 5 rows
  std::vector<LinearOp::Config> configs;
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    for (const int64_t in : {1, 3, 40, 64, 129, 384, 768, 1000, 1001, 3072}) {
      configs.push_back({.in = in, .compute_type = type});
    }
    configs.push_back({.in = 70, .compute_type = type, .accumulate = true});
    for (const DataType y : {DataType::kFloat32, OnednnMatmul::OperandsFor(type).operand}) {
      for (const Activation activation :
           {Activation::kNone, Activation::kRelu, Activation::kGelu, Activation::kGeluTanh}) {
        configs.push_back({.in = 71, .compute_type = type, .y_type = y, .activation = activation});
      }
    }
  }
  const std::vector<float> before = RandomFloats(kRows * kOut, 9);
  for (const LinearOp::Config& config : configs) {
    const Example example(kRows, config.in, kOut, config.compute_type);
    const LinearOp op = MakeOp(config);
    const std::vector<float> together = ComputeRows(op, config, example, before, 0, kRows);
    for (const int64_t count : {1, 2, 4, 6, 7, 11, 12, 13, 16, 17, 40, 63}) {
      const int64_t first = kRows - count - count % 3;
      const auto want = together.begin() + first * kOut;
      ASSERT_EQ(ComputeRows(op, config, example, before, first, count),
                std::vector<float>(want, want + count * kOut))
          << count << " rows of width " << config.in << ", activation "
          << static_cast<int>(config.activation) << ", accumulate " << config.accumulate;
    }
  }
}

// Results below 2^-126 are one such: bfloat16 products take them as 0, so rounding must too.
TEST(LinearOp, RoundsTheLeastResultsAlikeAmongAnyOthers) {
  const LinearOp::Config config{.in = 1,
                                .compute_type = ComputeType::kBfloat16,
                                .y_type = OnednnMatmul::OperandsFor(ComputeType::kBfloat16).operand,
                                .activation = Activation::kGelu};
  Example example(80, 1, 64, ComputeType::kBfloat16);
  std::fill(example.weight.begin(), example.weight.end(), 0.0f);
  for (int64_t j = 0; j < 64; ++j) example.bias[j] = -12.0f - static_cast<float>(j) / 32;
  const LinearOp op = MakeOp(config);
  const std::vector<float> zeros(80 * 64);
  const std::vector<float> together = ComputeRows(op, config, example, zeros, 0, 80);
  EXPECT_EQ(ComputeRows(op, config, example, zeros, 0, 3),
            std::vector<float>(together.begin(), together.begin() + 3 * 64));
}

TEST(LinearOp, GivesTheSameBitsPackedTransposedAndOnAnyThreads) {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    const OperandFormat format = OnednnMatmul::OperandsFor(type);
    const LinearOp op = MakeOp({.in = 50, .compute_type = type});
    Example example(77, 50, 130, type);
    LinearOp::Layer layer = example.Layer();
    Compute(op, {layer}, 1);
    const std::vector<float> want = example.y;

    std::vector<float> transposed(50 * 130);
    for (int64_t i = 0; i < 50; ++i) {
      for (int64_t o = 0; o < 130; ++o) transposed[o * 50 + i] = example.weight[i * 130 + o];
    }
    layer.linear.weight = {.data = transposed.data(), .in = 50, .out = 130, .transposed = true};
    Compute(op, {layer}, 3);
    EXPECT_EQ(example.y, want);

    const int64_t panel_bytes = PackedPanelBytes(50, format.operand);
    AlignedBuffer packed(3 * panel_bytes / 4);
    for (int64_t p = 0; p < PanelCount(130); ++p) {
      PackWeightPanel(layer.linear.weight, p, format,
                      reinterpret_cast<char*>(packed.data()) + p * panel_bytes);
    }
    layer.linear.weight.data = nullptr;
    layer.linear.packed = packed.data();
    Compute(op, {layer});
    EXPECT_EQ(example.y, want);
  }
}

TEST(LinearOp, ComputesSeveralLayersAtOnce) {
  Example a(5, 20, 70), b(90, 20, 10), none(0, 20, 3);
  Compute(MakeOp({.in = 20}), {a.Layer(), none.Layer(), b.Layer()});
  EXPECT_TRUE(Near(a.y, a.Want(), 1e-5));
  EXPECT_TRUE(Near(b.y, b.Want(), 1e-5));
}

TEST(LinearOp, AddsToWhatIsThere) {
  Example example(70, 20, 70);
  example.y = RandomFloats(70 * 70, 9);
  std::vector<double> want = example.Want();
  for (size_t i = 0; i < want.size(); ++i) want[i] += example.y[i];
  Compute(MakeOp({.in = 20, .accumulate = true}), {example.Layer()});
  EXPECT_TRUE(Near(example.y, want, 1e-5));
}

TEST(LinearOp, AppliesEachActivationAfterTheBias) {
  const double root = std::sqrt(2 / M_PI);
  const std::pair<Activation, std::function<double(double)>> activations[] = {
      {Activation::kRelu, [](double x) { return std::max(x, 0.0); }},
      {Activation::kGelu, [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }},
      {Activation::kGeluTanh,
       [&](double x) { return x / 2 * (1 + std::tanh(root * (x + 0.044715 * x * x * x))); }}};
  for (const auto& [activation, definition] : activations) {
    Example example(70, 20, 70);
    std::vector<double> want = example.Want();
    for (double& y : want) y = definition(y);
    Compute(MakeOp({.in = 20, .activation = activation}), {example.Layer()});
    EXPECT_TRUE(Near(example.y, want, 1e-5)) << static_cast<int>(activation);
  }
}

}  // namespace
}  // namespace attention
