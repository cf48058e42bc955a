#include "kernels/linear_op.h"

#include <gtest/gtest.h>

#include "kernels/convert.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

class Rows : public testing::TestWithParam<int> {};

TEST_P(Rows, MatchTheOracleWithAndWithoutBias) {
  const int64_t rows = GetParam(), in = 37, out = 19;
  const std::vector<float> x = RandomFloats(2 * rows * in, 1), weight = RandomFloats(in * out, 2);
  const std::vector<float> bias = RandomFloats(out, 3);
  for (const float* b : {static_cast<const float*>(nullptr), bias.data()}) {
    const auto op = LinearOp::Create(
        {.in = in, .out = out, .has_bias = b != nullptr, .row_tile = LinearOp::RowTile(rows)});
    ASSERT_TRUE(op.ok()) << op.status();
    const LinearOp::Inputs inputs = {
        .x = x.data(), .batch = 2, .rows = rows, .weight = weight.data(), .bias = b};
    std::vector<float> y(2 * rows * out, kNan);
    Executor executor(2);
    ASSERT_TRUE(op->Run(inputs, y.data(), executor).ok());
    EXPECT_TRUE(Near(y, ReferenceLinear(inputs, in, out), 1e-5));
  }
}

TEST_P(Rows, MultiplyNumbersOfOtherTypesAsBfloat16) {
  const int64_t rows = GetParam(), in = 37, out = 130;
  const std::vector<float> x = RandomFloats(rows * in, 1), weight = RandomFloats(in * out, 2);
  const std::vector<double> wide(x.begin(), x.end());
  std::vector<uint16_t> narrow(weight.size());
  FromFloat32(weight.data(), in * out, DataType::kFloat16, narrow.data());
  const auto op = LinearOp::Create({.in = in,
                                    .out = out,
                                    .row_tile = LinearOp::RowTile(rows),
                                    .compute_type = ComputeType::kBfloat16});
  ASSERT_TRUE(op.ok()) << op.status();
  const LinearOp::Inputs inputs = {.x = wide.data(),
                                   .x_type = DataType::kFloat64,
                                   .rows = rows,
                                   .weight = narrow.data(),
                                   .weight_type = DataType::kFloat16};
  std::vector<float> y(rows * out, kNan);
  Executor executor(2);
  ASSERT_TRUE(op->Run(inputs, y.data(), executor).ok());
  EXPECT_TRUE(Near(y, ReferenceLinear(inputs, in, out), in / 128.0));
}

INSTANTIATE_TEST_SUITE_P(EachTile, Rows,
                         testing::Values(1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 200));

}  // namespace
}  // namespace attention
