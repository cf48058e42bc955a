#include "kernels/encoder/layer_norm.h"

#include <gtest/gtest.h>

#include "kernels/reference/reference_encoder.h"
#include "kernels/simd/convert.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

constexpr OperandFormat kBfloat16 = {.operand = DataType::kBfloat16};
constexpr OperandFormat kRounded = {.round_to_bfloat16 = true};

class LayerNormRows : public testing::TestWithParam<int> {
 protected:
  const int64_t width_ = GetParam(), rows_ = 3;
  std::vector<float> x_ = RandomFloats(rows_ * width_, 1);
  const std::vector<float> gamma_ = RandomFloats(width_, 2), beta_ = RandomFloats(width_, 3);
  const LayerNorm norm_ = {.gamma = gamma_.data(), .beta = beta_.data(), .epsilon = 1e-5f};

  std::vector<double> Want() const {
    const std::vector<double> wide(x_.begin(), x_.end());
    return ReferenceLayerNorm(wide, width_, norm_);
  }
};

TEST_P(LayerNormRows, MatchTheOracle) {
  std::vector<float> y(x_.size(), kNan);
  NormalizeRows(x_.data(), rows_, width_, norm_, y.data(), {}, nullptr);
  EXPECT_TRUE(Near(y, Want(), 1e-5));
}

TEST_P(LayerNormRows, KeepTheirDigitsFarFromZero) {
  for (float& x : x_) x = 1000 + x;
  std::vector<float> y(x_.size(), kNan);
  NormalizeRows(x_.data(), rows_, width_, norm_, y.data(), {}, nullptr);
  EXPECT_TRUE(Near(y, Want(), 1e-3));  // the mean itself is good to 6e-5
}

TEST_P(LayerNormRows, MayBeWrittenInPlaceAndRoundedBesideIt) {
  std::vector<float> y(x_.size()), rounded(x_.size());
  NormalizeRows(x_.data(), rows_, width_, norm_, y.data(), {}, nullptr);
  std::vector<uint16_t> bfloat16(x_.size()), want(x_.size());
  RoundToBfloat16(y.data(), rows_ * width_, want.data());
  std::vector<float> want_rounded(x_.size());
  RoundToBfloat16(y.data(), rows_ * width_, want_rounded.data());

  NormalizeRows(x_.data(), rows_, width_, norm_, nullptr, kRounded, rounded.data());
  EXPECT_EQ(rounded, want_rounded);
  NormalizeRows(x_.data(), rows_, width_, norm_, x_.data(), kBfloat16, bfloat16.data());
  EXPECT_EQ(x_, y);
  EXPECT_EQ(bfloat16, want);
}

INSTANTIATE_TEST_SUITE_P(Widths, LayerNormRows, testing::Values(2, 3, 16, 17, 40, 64, 100, 768));

TEST(LayerNormRow, OfEqualNumbersIsBeta) {
  const std::vector<float> x(20, 7.0f), gamma(20, 2.0f), beta(20, 0.5f);
  std::vector<float> y(20);
  NormalizeRows(x.data(), 1, 20, {.gamma = gamma.data(), .beta = beta.data()}, y.data(), {},
                nullptr);
  EXPECT_EQ(y, beta);
}

}  // namespace
}  // namespace attention
