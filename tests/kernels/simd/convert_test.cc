#include "kernels/simd/convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "tests/kernels/problem.h"

namespace attention {
namespace {

TEST(Convert, EveryTypeKeepsWhatItCanHold) {
  const std::vector<float> numbers = {0.0f,     -0.0f, 1.0f, -1.5f, 0.25f,
                                      65504.0f, 1e-4f, kInf, -kInf};
  for (const DataType type :
       {DataType::kFloat32, DataType::kBfloat16, DataType::kFloat16, DataType::kFloat64}) {
    for (int64_t count = 1; count <= 40; ++count) {  // each vector's tail
      std::vector<float> from(count), to(count + 1, 7.0f);
      for (int64_t i = 0; i < count; ++i) from[i] = numbers[i % numbers.size()];
      std::vector<char> bytes(count * ByteSize(type) + 2, 'x');
      FromFloat32(from.data(), count, type, bytes.data() + 1);  // off any alignment
      ToFloat32(bytes.data() + 1, type, count, to.data());
      EXPECT_EQ(bytes.front(), 'x');
      EXPECT_EQ(bytes.back(), 'x');
      EXPECT_EQ(to[count], 7.0f);
      for (int64_t i = 0; i < count; ++i) {
        if (std::isinf(from[i])) {
          EXPECT_EQ(to[i], from[i]);
        } else {
          EXPECT_NEAR(to[i], from[i], std::abs(from[i]) / 256) << i;
        }
        EXPECT_EQ(std::signbit(to[i]), std::signbit(from[i]));
      }
    }
  }
}

TEST(Convert, Bfloat16RoundsToNearestTiesToEven) {
  const auto rounded = [](uint32_t bits) {
    const float x = std::bit_cast<float>(bits);
    uint16_t half = 0;
    RoundToBfloat16(&x, 1, &half);
    float wide = 0;
    RoundToBfloat16(&x, 1, &wide);
    EXPECT_EQ(std::bit_cast<uint32_t>(wide), uint32_t{half} << 16);
    return half;
  };
  EXPECT_EQ(rounded(0x3F807FFF), 0x3F80);
  EXPECT_EQ(rounded(0x3F808000), 0x3F80) << "a tie, to even";
  EXPECT_EQ(rounded(0x3F808001), 0x3F81);
  EXPECT_EQ(rounded(0x3F818000), 0x3F82) << "a tie, to even";
  EXPECT_EQ(rounded(0x7F7FFFFF), 0x7F80) << "the largest number becomes infinity";
  EXPECT_EQ(rounded(0x7F800001) & 0x7FC0, 0x7FC0) << "a NaN stays one";
  EXPECT_EQ(rounded(0xFFFFFFFF) & 0x7FC0, 0x7FC0) << "a NaN stays one";
}

TEST(Convert, NanStaysNanInEveryType) {
  for (const DataType type :
       {DataType::kFloat32, DataType::kBfloat16, DataType::kFloat16, DataType::kFloat64}) {
    char bytes[8];
    float back = 0;
    FromFloat32(&kNan, 1, type, bytes);
    ToFloat32(bytes, type, 1, &back);
    EXPECT_TRUE(std::isnan(back));
  }
}

}  // namespace
}  // namespace attention
