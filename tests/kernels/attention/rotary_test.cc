#include "kernels/attention/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/simd/convert.h"
#include "tests/kernels/problem.h"

namespace attention {
namespace {

constexpr int64_t kRotatedHeads = 3, kRotatedLen = 40, kRotatedDim = 10;

MutableHeadsView View(std::vector<float>& numbers) {
  return TokenMajorView(reinterpret_cast<std::byte*>(numbers.data()), DataType::kFloat32,
                        kRotatedHeads, kRotatedDim);
}

HeadsView ReadView(const std::vector<float>& numbers) {
  return TokenMajorView(reinterpret_cast<const std::byte*>(numbers.data()), DataType::kFloat32,
                        kRotatedHeads, kRotatedDim);
}

// The formula, number by number, in double precision.
std::vector<double> Turned(const RotarySettings& settings, const std::vector<float>& x,
                           const RotarySequence& sequence) {
  std::vector<double> y(x.begin(), x.end());
  for (int64_t token = 0; token < sequence.len; ++token) {
    for (int64_t head = 0; head < kRotatedHeads; ++head) {
      const int64_t row = (token * kRotatedHeads + head) * kRotatedDim;
      for (int64_t i = 0; i < settings.rotary_dim / 2; ++i) {
        const bool split = settings.pairing == RotaryPairing::kSplitHalf;
        const int64_t a = row + (split ? i : 2 * i);
        const int64_t b = row + (split ? i + settings.rotary_dim / 2 : 2 * i + 1);
        const double t = static_cast<double>(sequence.Position(token)) *
                         std::pow(settings.base, -2.0 * i / settings.rotary_dim);
        y[a] = x[a] * std::cos(t) - x[b] * std::sin(t);
        y[b] = x[b] * std::cos(t) + x[a] * std::sin(t);
      }
    }
  }
  return y;
}

void ExpectTurned(const RotarySettings& settings, RotarySequence sequence) {
  const std::vector<float> x = RandomFloats(kRotatedHeads * kRotatedLen * kRotatedDim, 1);
  std::vector<float> y(x.size(), kNan);
  sequence.len = kRotatedLen;
  sequence.from = ReadView(x);
  sequence.to = View(y);
  Executor executor(2);
  ASSERT_TRUE(ApplyRotary(settings, kRotatedHeads, kRotatedDim, {sequence}, executor).ok());
  EXPECT_TRUE(Near(y, Turned(settings, x, sequence), 1e-6));
}

TEST(Rotary, RotatesSplitHalves) {
  ExpectTurned({.rotary_dim = kRotatedDim}, {.from = {}, .to = {}, .positions = {}});
}

TEST(Rotary, RotatesInterleavedPairs) {
  ExpectTurned({.pairing = RotaryPairing::kInterleaved, .rotary_dim = kRotatedDim},
               {.from = {}, .to = {}, .positions = {}});
}

TEST(Rotary, LeavesWhatLiesBehindThePartialWidth) {
  for (const RotaryPairing pairing : {RotaryPairing::kSplitHalf, RotaryPairing::kInterleaved}) {
    ExpectTurned({.pairing = pairing, .rotary_dim = 4}, {.from = {}, .to = {}, .positions = {}});
  }
}

TEST(Rotary, GoesByTheBaseAndByPositionsNearAndFarAndNegative) {
  std::vector<int64_t> positions(kRotatedLen);
  for (int64_t i = 0; i < kRotatedLen; ++i) positions[i] = (i % 2 == 0 ? 1 : -1) * i * i * 1000;
  ExpectTurned({.rotary_dim = kRotatedDim, .base = 500000},
               {.from = {}, .to = {}, .positions = positions});
  ExpectTurned({.rotary_dim = kRotatedDim},
               {.from = {}, .to = {}, .positions = {}, .first_position = -7});
}

TEST(Rotary, WritesWhereItReads) {
  const std::vector<float> x = RandomFloats(kRotatedHeads * kRotatedLen * kRotatedDim, 1);
  std::vector<float> y = x;
  const RotarySettings settings = {.rotary_dim = kRotatedDim};
  const RotarySequence sequence = {
      .len = kRotatedLen, .from = ReadView(y), .to = View(y), .positions = {}, .first_position = 5};
  Executor executor(2);
  ASSERT_TRUE(ApplyRotary(settings, kRotatedHeads, kRotatedDim, {sequence}, executor).ok());
  EXPECT_TRUE(Near(y, Turned(settings, x, sequence), 1e-6));
}

// What the embedding is for: scores depend on how far apart two tokens stand alone.
TEST(Rotary, ScoresDependOnTheDistance) {
  const std::vector<float> q = RandomFloats(kRotatedDim, 1), k = RandomFloats(kRotatedDim, 2);
  const auto score = [&](int64_t q_position, int64_t k_position) {
    std::vector<float> turned_q(kRotatedDim), turned_k(kRotatedDim);
    Executor executor(1);
    const RotarySettings settings = {.rotary_dim = kRotatedDim};
    const auto turn = [&](const std::vector<float>& from, int64_t position,
                          std::vector<float>& to) {
      const RotarySequence sequence = {
          .from = ReadView(from), .to = View(to), .positions = {}, .first_position = position};
      EXPECT_TRUE(ApplyRotary(settings, 1, kRotatedDim, {sequence}, executor).ok());
    };
    turn(q, q_position, turned_q);
    turn(k, k_position, turned_k);
    double sum = 0;
    for (int64_t i = 0; i < kRotatedDim; ++i) sum += turned_q[i] * turned_k[i];
    return sum;
  };
  EXPECT_NEAR(score(3, 1), score(1003, 1001), 1e-5);
  EXPECT_GT(std::abs(score(3, 1) - score(3, 2)), 1e-3);
}

}  // namespace
}  // namespace attention
