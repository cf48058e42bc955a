#include "kernels/encoder/embedding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/encoder/pooling.h"
#include "kernels/simd/convert.h"
#include "kernels/threads/executor.h"

namespace attention {
namespace {

std::vector<float> Numbers(int64_t count, float seed) {
  std::vector<float> numbers(count);
  for (int64_t i = 0; i < count; ++i) numbers[i] = std::sin(seed + static_cast<float>(i));
  return numbers;
}

// A table [count, width] of numbers that `type` holds exactly, one byte askew.
struct Table {
  Table(DataType type, int64_t count, int64_t width, float seed)
      : bytes(count * width * ByteSize(type) + 1), values(count * width) {
    const std::vector<float> numbers = Numbers(count * width, seed);
    FromFloat32(numbers.data(), count * width, type, bytes.data() + 1);
    ToFloat32(bytes.data() + 1, type, count * width, values.data());
    view = {bytes.data() + 1, type, count, width};
  }

  std::vector<std::byte> bytes;
  std::vector<float> values;
  VectorTable view;
};

TEST(Embed, SumsTokenPositionAndTypeEmbeddings) {
  Executor executor(2);
  for (const DataType type : {DataType::kFloat32, DataType::kBfloat16, DataType::kFloat16}) {
    for (const int64_t width : {1, 3, 17, 64}) {
      const Table tokens(type, 10, width, 1), positions(type, 40, width, 2),
          types(type, 2, width, 3);
      std::vector<int64_t> ids, places, kinds;
      for (int64_t i = 0; i < 37; ++i) {
        ids.push_back(i * 7 % 10);
        places.push_back(39 - i);
        kinds.push_back(i % 2);
      }
      Embedding embedding = {.tokens = tokens.view, .positions = {}, .types = {}, .norm = {}};
      std::vector<float> x(37 * width);
      const auto expect = [&](bool with_positions, bool with_types) {
        for (int64_t i = 0; i < 37; ++i) {
          for (int64_t j = 0; j < width; ++j) {
            float want = tokens.values[ids[i] * width + j];
            if (with_positions) want += positions.values[places[i] * width + j];
            if (with_types) want += types.values[kinds[i] * width + j];
            ASSERT_EQ(x[i * width + j], want) << i << " " << j;
          }
        }
      };
      ASSERT_TRUE(
          Embed(embedding, {.ids = ids, .positions = {}, .types = {}}, x.data(), executor).ok());
      expect(false, false);
      embedding.positions = positions.view;
      embedding.types = types.view;
      ASSERT_TRUE(
          Embed(embedding, {.ids = ids, .positions = places, .types = kinds}, x.data(), executor)
              .ok());
      expect(true, true);
    }
  }
}

TEST(Embed, NormalizesTheSum) {
  Executor executor(1);
  const Table tokens(DataType::kFloat32, 5, 16, 1);
  const std::vector<float> gamma = Numbers(16, 4), beta = Numbers(16, 5);
  const Embedding embedding = {.tokens = tokens.view,
                               .positions = {},
                               .types = {},
                               .norm = LayerNorm{gamma.data(), beta.data(), 1e-12f}};
  std::vector<float> x(3 * 16), want(3 * 16);
  const std::vector<int64_t> ids = {4, 0, 4};
  ASSERT_TRUE(
      Embed(embedding, {.ids = ids, .positions = {}, .types = {}}, x.data(), executor).ok());
  for (size_t i = 0; i < ids.size(); ++i) {
    NormalizeRows(tokens.values.data() + ids[i] * 16, 1, 16, *embedding.norm, &want[i * 16],
                  OperandFormat(), nullptr);
  }
  EXPECT_EQ(x, want);
}

TEST(SinusoidalPositions, AreThoseOfThePaper) {
  std::vector<float> table(7 * 6);
  SinusoidalPositions(7, 6, table.data());
  for (int p = 0; p < 7; ++p) {
    for (int i = 0; i < 3; ++i) {
      const double angle = p / std::pow(10000.0, 2.0 * i / 6);
      EXPECT_FLOAT_EQ(table[p * 6 + 2 * i], std::sin(angle));
      EXPECT_FLOAT_EQ(table[p * 6 + 2 * i + 1], std::cos(angle));
    }
  }
}

TEST(Pool, TakesTheMeanOrTheFirstTokenOfEachSequence) {
  Executor executor(2);
  const std::vector<int64_t> lens = {3, 0, 1, 5};
  const std::vector<float> x = Numbers(9 * 5, 1);
  std::vector<float> mean(4 * 5), first(4 * 5);
  ASSERT_TRUE(Pool({.pooling = Pooling::kMean}, x.data(), lens, 5, mean.data(), executor).ok());
  ASSERT_TRUE(
      Pool({.pooling = Pooling::kFirstToken}, x.data(), lens, 5, first.data(), executor).ok());
  int64_t before = 0;
  for (size_t b = 0; b < lens.size(); before += lens[b++]) {
    for (int64_t j = 0; j < 5; ++j) {
      double sum = 0;
      for (int64_t i = before; i < before + lens[b]; ++i) sum += x[i * 5 + j];
      EXPECT_NEAR(mean[b * 5 + j], lens[b] == 0 ? 0 : sum / lens[b], 1e-7);
      EXPECT_EQ(first[b * 5 + j], lens[b] == 0 ? 0 : x[before * 5 + j]);
    }
  }
}

TEST(Pool, ScalesToALengthOfOneButLeavesZerosAlone) {
  Executor executor(1);
  const std::vector<int64_t> lens = {1, 1};
  const std::vector<float> x = {3e20f, 4e20f, 0, 0};
  std::vector<float> to(4);
  ASSERT_TRUE(
      Pool({.pooling = Pooling::kMean, .normalize = true}, x.data(), lens, 2, to.data(), executor)
          .ok());
  EXPECT_FLOAT_EQ(to[0], 0.6f);
  EXPECT_FLOAT_EQ(to[1], 0.8f);
  EXPECT_EQ(to[2], 0);
  EXPECT_EQ(to[3], 0);
}

}  // namespace
}  // namespace attention
