#include "kernels/linear_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/convert.h"
#include "kernels/operands.h"
#include "kernels/reference_attention.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

std::vector<float> AsOperands(const void* x, DataType type, int64_t count, ComputeType compute) {
  Executor executor(1);
  std::vector<float> operands(count);  // room enough for either type
  const PackAs as = OnednnMatmul::OperandsFor(compute);
  EXPECT_TRUE(ToOperands(x, type, count, as, operands.data(), executor).ok());
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

class Rows : public testing::TestWithParam<int> {};

TEST_P(Rows, MatchTheOracleWithAndWithoutBias) {
  Example example(GetParam(), 37, 19);
  const LinearOp op = MakeOp({.in = 37});
  Compute(op, {example.Layer()});
  EXPECT_TRUE(Near(example.y, example.Want(), 1e-5));

  LinearOp::Layer without = example.Layer();
  without.linear.bias = nullptr;
  Compute(op, {without});
  EXPECT_TRUE(Near(example.y, ReferenceLinear(example.Rows(), example.View(), nullptr), 1e-5));
}

TEST_P(Rows, MultiplyNumbersOfOtherTypesAsBfloat16) {
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

INSTANTIATE_TEST_SUITE_P(EachTile, Rows,
                         testing::Values(1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 200, 600));

// What the batching of calls rests on: oneDNN adds up in one order, whatever the tile.
TEST(LinearOp, GivesARowTheSameBitsAmongAnyOthers) {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    const PackAs as = OnednnMatmul::OperandsFor(type);
    for (const int64_t in : {3, 40, 64, 384, 768, 1000, 3072}) {
      Example example(149, in, 130, type);  // 64 + 64 + 16 + 4 + 1
      const LinearOp op = MakeOp({.in = in, .compute_type = type});
      LinearOp::Layer layer = example.Layer();
      Compute(op, {layer});
      const std::vector<float> together = example.y;
      for (int64_t row = 0; row < 149; row += row < 140 ? 20 : 1) {
        layer.x = reinterpret_cast<const char*>(example.operands.data()) +
                  row * in * ByteSize(as.operand);
        layer.rows = 1;
        Compute(op, {layer});
        const auto want = together.begin() + row * 130;
        ASSERT_EQ(std::vector<float>(example.y.begin(), example.y.begin() + 130),
                  std::vector<float>(want, want + 130))
            << "row " << row << " of width " << in;
      }
    }
  }
}

TEST(LinearOp, GivesTheSameBitsPackedTransposedAndOnAnyThreads) {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    const PackAs as = OnednnMatmul::OperandsFor(type);
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

    const int64_t panel_bytes = PackedPanelBytes(50, as.operand);
    AlignedBuffer packed(3 * panel_bytes / 4);
    for (int64_t p = 0; p < PanelCount(130); ++p) {
      PackWeightPanel(layer.linear.weight, p, as,
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
