// Numbers of any size: the output is the product of the weights that are returned and the values,
// also where their product before division by the sum is beyond float32, or next to nothing.
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/attention/each_way.h"
#include "tests/sweep.h"

namespace attention {
namespace {

constexpr double kBfloat16Unit = 1.0 / (1 << 8);
constexpr double kDenormal = 0x1p-149;  // float32's least number

float PowerOf2(int exponent) { return std::ldexp(1.0f, exponent); }

// Exponents from first to last: each in a full sweep, else each eighth, or a few of them (sweep.h).
std::vector<int> Exponents(int first, int last, std::vector<int> few) {
  if (!SweepsAll()) return few;
  std::vector<int> all;
  const int step = SweepIsFull() ? 1 : 8;
  for (int exponent = first; exponent < last; exponent += step) all.push_back(exponent);
  all.push_back(last);
  return all;
}

// Puts from[i] * factor where a problem has its numbers.
void PutTimes(const std::vector<float>& from, float factor, std::vector<float>& to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] = from[i] * factor;
}

// sum_j weights[row, j] * V[j, d], and the sum of the terms' sizes.
struct Product {
  std::vector<double> output, sizes;  // as Problem::output
};

template <typename Weights>
Product ProductOf(const Problem& problem, const Weights& weights) {
  const ProblemShape& s = problem.shape;
  const int64_t rows = s.num_heads * s.q_len, group = s.num_heads / s.num_kv_heads;
  Product product;
  for (int64_t row = 0; row < s.batch * rows; ++row) {
    const int64_t head = row / rows * s.num_kv_heads + row % rows / s.q_len / group;
    for (int64_t d = 0; d < s.v_head_dim; ++d) {
      double sum = 0, size = 0;
      for (int64_t j = 0; j < s.kv_len; ++j) {
        const double term = static_cast<double>(weights[row * s.kv_len + j]) *
                            problem.value[(head * s.kv_len + j) * s.v_head_dim + d];
        sum += term;
        size += std::abs(term);
      }
      product.output.push_back(sum);
      product.sizes.push_back(size);
    }
  }
  return product;
}

// Each number of the output against the product of `weights` and the values, by the size of its own
// terms: a column of small values beside one of large values counts as much.
template <typename Weights>
testing::AssertionResult OutputIsProductOf(const Problem& problem, const Weights& weights) {
  const Product want = ProductOf(problem, weights);
  const bool bfloat16 = problem.compute_type == ComputeType::kBfloat16;
  const double relative = bfloat16 ? 4 * kBfloat16Unit : 1e-5;
  return Near(problem.output, want.output,
              [&](size_t i) { return relative * want.sizes[i] + 2 * kDenormal; });
}

class Magnitudes : public EachWay {
 protected:
  void UseSum() {
    problem_.settings.normalization = Normalization::kSum;
    problem_.settings.scale = 1;
    for (auto* numbers : {&problem_.query, &problem_.key}) {
      for (float& x : *numbers) x = std::abs(x) + 0.1f;  // so that no row sums to about 0
    }
  }
  void SetConstantBias(float bias) {
    bias_.assign(MaskSize(), bias);
    SetMask(bias_);
  }

  std::vector<float> bias_;
};
INSTANTIATE_TEST_SUITE_P(Ways, Magnitudes, AllWays(), WayName);

// A weight before division is e^16 at the most and e^-16 of the largest at the least: a bias that
// is the same for all keys brings the scores there and changes no weight.
TEST_P(Magnitudes, SoftmaxOutputsScaleWithTheValues) {
  const std::vector<double> weights = ReferenceBatch(problem_).attention_weights;
  const std::vector<float> value = problem_.value;
  for (const float bias : {-15.0f, 14.0f}) {
    SetConstantBias(bias);
    for (const int exponent : Exponents(-149, 127, {-140, -90, 106, 126})) {
      SCOPED_TRACE(testing::Message() << "bias " << bias << ", values times 2^" << exponent);
      PutTimes(value, PowerOf2(exponent), problem_.value);
      Run();
      EXPECT_TRUE(OutputIsProductOf(problem_, weights));
    }
  }
}

TEST_P(Magnitudes, SoftmaxIsRightWhereScoresDifferWidely) {
  problem_.settings.scale = 30;  // past what needs no shift
  const std::vector<float> value = problem_.value;
  for (const int exponent : {-130, 121, 126}) {
    SCOPED_TRACE(testing::Message() << "values times 2^" << exponent);
    PutTimes(value, PowerOf2(exponent), problem_.value);
    Run();
    EXPECT_TRUE(OutputIsProductOf(problem_, problem_.weights));
  }
}

// One column of each row, whatever stands in the others.
TEST_P(Magnitudes, ColumnsMayDifferInSize) {
  for (size_t i = 0; i < problem_.value.size(); i += kDim) {
    problem_.value[i] *= PowerOf2(126);
    problem_.value[i + 1] *= PowerOf2(-140);
  }
  SetConstantBias(14);
  Run();
  EXPECT_TRUE(OutputIsProductOf(problem_, ReferenceBatch(problem_).attention_weights));
  SetConstantBias(-15);
  Run();
  EXPECT_TRUE(OutputIsProductOf(problem_, ReferenceBatch(problem_).attention_weights));
}

TEST_P(Magnitudes, SumOutputsScaleWithScoresAndValues) {
  if (compute_type() == ComputeType::kBfloat16) return;  // sums are float32
  UseSum();
  const std::vector<float> query = problem_.query, value = problem_.value;
  const std::vector<double> weights = ReferenceBatch(problem_).attention_weights;
  for (const int of_scores : {-110, 0, 124}) {
    for (const int of_values : Exponents(-149, 127, {-140, 0, 126})) {
      SCOPED_TRACE(testing::Message()
                   << "scores times 2^" << of_scores << ", values times 2^" << of_values);
      PutTimes(query, PowerOf2(of_scores), problem_.query);
      PutTimes(value, PowerOf2(of_values), problem_.value);
      Run();
      EXPECT_TRUE(Near(problem_.weights, weights, OutputTolerance(weights)));
      EXPECT_TRUE(OutputIsProductOf(problem_, weights));
    }
  }
}

TEST_P(Magnitudes, WeightsOfSumsDoNotChangeWithTheSizeOfScores) {
  if (compute_type() == ComputeType::kBfloat16) return;  // sums are float32
  UseSum();
  const std::vector<float> query = problem_.query;
  const std::vector<double> weights = ReferenceBatch(problem_).attention_weights;
  for (const int exponent : Exponents(-110, 124, {-60, 60})) {
    SCOPED_TRACE(testing::Message() << "scores times 2^" << exponent);
    PutTimes(query, PowerOf2(exponent), problem_.query);
    Run();
    EXPECT_TRUE(Near(problem_.weights, weights, OutputTolerance(weights)));
    EXPECT_TRUE(OutputIsProductOf(problem_, weights));
  }
}

TEST_P(Magnitudes, AHiddenValueOfAnotherSizeChangesNoBit) {
  const int64_t hidden = kv_len() / 2;
  std::vector<uint8_t> mask(MaskSize(), 1);
  for (size_t i = hidden; i < mask.size(); i += kv_len()) mask[i] = 0;
  SetMask(mask);
  const std::vector<float> value = problem_.value;
  for (const int exponent :
       SweepsAll() ? std::vector{-140, -100, 0, 126} : std::vector{-140, 126}) {
    PutTimes(value, PowerOf2(exponent), problem_.value);
    std::vector<float> want;
    for (const float poison : {0.0f, 1e-40f, 1.0f, 3e38f, kInf, kNan}) {
      for (int64_t head = 0; head < kBatch * kKvHeads; ++head) {
        std::fill_n(problem_.value.begin() + (head * kv_len() + hidden) * kDim, kDim, poison);
      }
      Run();
      if (want.empty()) want = problem_.output;
      EXPECT_EQ(problem_.output, want) << poison << " among values times 2^" << exponent;
    }
  }
}

TEST_P(Magnitudes, GiveTheSameBitsOnAnyThreadsAloneAndWhicheverResultsAreAskedFor) {
  const std::vector<float> value = problem_.value;
  problem_.settings.causal = true;
  problem_.compute_type = compute_type();
  for (const int exponent : {-140, -120, 126}) {
    PutTimes(value, PowerOf2(exponent), problem_.value);
    ASSERT_TRUE(problem_.Run(1).ok());
    const std::vector<float> want = problem_.output;
    ASSERT_TRUE(problem_.Run(2).ok());
    EXPECT_EQ(problem_.output, want);

    for (AttentionSequence& s : problem_.sequences) s.results = {.output = s.results.output};
    problem_.output.assign(problem_.output.size(), kNan);
    ASSERT_TRUE(problem_.RunAsIs().ok());
    EXPECT_EQ(problem_.output, want);

    const std::vector<AttentionSequence> all = problem_.sequences;
    problem_.sequences = {all[1]};
    problem_.output.assign(problem_.output.size(), kNan);
    ASSERT_TRUE(problem_.RunAsIs().ok());
    const auto half = static_cast<int64_t>(want.size()) / 2;
    EXPECT_TRUE(std::equal(want.begin() + half, want.end(), problem_.output.begin() + half));
    problem_.sequences = all;
  }
}

TEST_P(Magnitudes, WeightsThatAreGivenCombineWithValuesOfAnySize) {
  const ProblemShape s = Shape();
  std::vector<float> given = RandomFloats(MaskSize(), 5);
  Run();  // points the results at memory
  const absl::StatusOr<AttentionOp> op =
      AttentionOp::Create({.head_dim = s.head_dim, .v_head_dim = s.v_head_dim});
  ASSERT_TRUE(op.ok());
  Executor executor(2);
  const std::vector<float> value = problem_.value;
  // {of the weights, of the values}. The last two: sums that overflow on the way to a finite one.
  for (const auto& [of_weights, of_values] :
       {std::pair{0, 0}, {0, -149}, {-60, -80}, {-100, -20}, {-100, 120}, {1, 126}, {70, 57}}) {
    std::vector<float> weights(given.size());
    PutTimes(given, PowerOf2(of_weights), weights);
    PutTimes(value, PowerOf2(of_values), problem_.value);
    std::vector<WeightedSequence> sequences;
    for (int64_t b = 0; b < s.batch; ++b) {
      const float* const first = weights.data() + b * s.num_heads * s.q_len * s.kv_len;
      WeightedSequence& to = sequences.emplace_back();
      to.q_len = s.q_len;
      to.kv_len = s.kv_len;
      to.attention_weights = HeadMajorView(reinterpret_cast<const std::byte*>(first),
                                           DataType::kFloat32, s.q_len, s.kv_len);
      to.value = problem_.sequences[b].value;
      to.results.output = problem_.sequences[b].results.output;
    }
    ASSERT_TRUE(op->Combine(problem_.settings, sequences, executor).ok());
    const Product want = ProductOf(problem_, weights);
    std::vector<double> rounded;  // beyond float32 they are infinite
    for (const double x : want.output) rounded.push_back(static_cast<float>(x));
    EXPECT_TRUE(Near(problem_.output, rounded,
                     [&](size_t i) { return 1e-5 * want.sizes[i] + 2 * kDenormal; }))
        << "weights times 2^" << of_weights << ", values times 2^" << of_values;
  }
}

// Values between the largest bfloat16 and infinity, and those that are no normal bfloat16.
TEST_P(Magnitudes, ValuesOfBfloat16MayBeOfAnySize) {
  const std::vector<double> weights = ReferenceBatch(problem_).attention_weights;
  std::vector<uint16_t> halves(problem_.value.size());
  for (const int exponent : {-133, -126, -100, 127}) {
    std::vector<float>& value = problem_.value;
    for (size_t i = 0; i < value.size(); ++i) {
      halves[i] = static_cast<uint16_t>((127 + std::max(exponent, -126)) << 7 | (i % 2) << 15);
      if (exponent == -133) halves[i] = static_cast<uint16_t>(1 + i % 3);  // denormal
      const uint32_t bits = uint32_t{halves[i]} << 16;
      std::memcpy(&value[i], &bits, sizeof(bits));
    }
    for (int64_t b = 0; b < kBatch; ++b) {
      problem_.sequences[b].value.current = HeadMajorView(
          reinterpret_cast<const std::byte*>(halves.data() + b * kKvHeads * kv_len() * kDim),
          DataType::kBfloat16, kv_len(), kDim);
    }
    Run();
    EXPECT_TRUE(OutputIsProductOf(problem_, weights)) << "values of 2^" << exponent;
  }
}

using Tokens = std::vector<std::vector<float>>;

// Attention by SUM of a few tokens, in one head.
class FewTokens {
 public:
  FewTokens(const Tokens& queries, const Tokens& keys)
      : problem_({.q_len = static_cast<int64_t>(queries.size()),
                  .kv_len = static_cast<int64_t>(keys.size()),
                  .head_dim = static_cast<int64_t>(keys[0].size()),
                  .v_head_dim = static_cast<int64_t>(keys[0].size())}) {
    problem_.query.clear();
    problem_.key.clear();
    for (const auto& q : queries) problem_.query.insert(problem_.query.end(), q.begin(), q.end());
    for (const auto& k : keys) problem_.key.insert(problem_.key.end(), k.begin(), k.end());
    problem_.value = problem_.key;
    problem_.Point();
    problem_.settings.scale = 1;
    problem_.settings.normalization = Normalization::kSum;
  }
  explicit FewTokens(const Tokens& tokens) : FewTokens(tokens, tokens) {}

  Problem* operator->() { return &problem_; }
  Problem& operator*() { return problem_; }

 private:
  Problem problem_;
};

testing::AssertionResult IsRefused(const absl::Status& status, const std::string& row) {
  if (status.code() != absl::StatusCode::kInvalidArgument) {
    return testing::AssertionFailure() << "status " << status;
  }
  if (status.message().find(row) == std::string::npos ||
      status.message().find(" sum to ") == std::string::npos) {
    return testing::AssertionFailure() << status.message() << "; want the sum, and " << row;
  }
  return testing::AssertionSuccess();
}

// `[[x], [x]]`: each weight is 1/2, and the output x.
TEST(MagnitudesOfSums, TwoEqualTokensShareTheWeightAtEverySize) {
  for (int exponent = -149; exponent < 64; ++exponent) {
    for (const float x : {PowerOf2(exponent), 1.4f * PowerOf2(exponent)}) {
      if (x * x == kInf) continue;
      FewTokens tokens(Tokens{{x}, {x}});
      const absl::Status status = tokens->Run();
      if (x * x < 4 * kDenormal) {  // as large as its rounding error
        if (!status.ok()) {
          EXPECT_TRUE(IsRefused(status, "query 0 in head 0")) << x;
          continue;
        }
      }
      ASSERT_TRUE(status.ok()) << x << " " << status;
      EXPECT_EQ(tokens->weights, (std::vector<float>{0.5f, 0.5f, 0.5f, 0.5f})) << x;
      EXPECT_TRUE(Near(tokens->output, {x, x}, x * 1e-6)) << x;
    }
  }
}

TEST(MagnitudesOfSums, AreDividedAlsoWhereTheyAreBeyondFloat32) {
  for (const int64_t kv_len : {3, 70, 600}) {
    for (const int64_t q_len : {1, 20, 70}) {
      Problem problem({2, q_len, kv_len, 2, 1, 2, 2});
      for (float& x : problem.query) x = 1.3e19f;
      for (float& x : problem.key) x = 1.2e19f;  // scores of 3.12e38
      problem.settings.scale = 1;
      problem.settings.normalization = Normalization::kSum;
      ASSERT_TRUE(problem.Run().ok());
      const std::vector<double> want(problem.weights.size(), 1.0 / static_cast<double>(kv_len));
      EXPECT_TRUE(Near(problem.weights, want, 1e-7));
      EXPECT_TRUE(OutputIsProductOf(problem, want));
    }
  }
}

TEST(MagnitudesOfSums, ARowWhoseTrueSumIsZeroIsRefusedAtEverySize) {
  for (int exponent = -74; exponent <= 64; ++exponent) {
    const float x = PowerOf2(exponent);
    FewTokens tokens(Tokens{{.1f * x, .2f * x}, {.3f * x, -.1f * x}, {-.4f * x, -.1f * x}});
    EXPECT_TRUE(IsRefused(tokens->Run(), "query 0 in head 0")) << exponent;
  }
}

// The scores themselves are nothing but rounding errors: .1 * .2 - .2 * .1.
TEST(MagnitudesOfSums, ASumOfScoresThatCancelWithinThemselvesIsRefused) {
  FewTokens tokens({{.1f, .2f}}, {{.2f, -.1f}, {.4f, -.2f}, {.7f, -.35f}});
  EXPECT_TRUE(IsRefused(tokens->Run(), "query 0 in head 0"));
}

TEST(MagnitudesOfSums, ABiasThatCancelsIsRefused) {
  const std::vector<float> bias = {.1f, .2f, -.3f};
  FewTokens tokens({{0.0f}}, {{1.0f}, {1.0f}, {1.0f}});
  tokens->sequences[0].mask = {.bias = bias.data(), .key_count = 3};
  EXPECT_TRUE(IsRefused(tokens->Run(), "query 0 in head 0"));
}

TEST(MagnitudesOfSums, TheErrorNamesTheSumAndItsRoundingError) {
  FewTokens tokens(Tokens{{.1f, .2f}, {.3f, -.1f}, {-.4f, -.1f}});
  const std::string message(tokens->Run().message());
  EXPECT_NE(message.find("not above its rounding error"), std::string::npos) << message;
  EXPECT_NE(message.find("or use SOFTMAX"), std::string::npos) << message;
}

// The last key is what the others lack to a sum of 0, rounded.
TEST(MagnitudesOfSums, KeysThatAddUpToZeroAreRefusedInEveryRow) {
  for (const int64_t kv_len : {2, 3, 33, 700}) {
    for (const int64_t q_len : {1, 9, 70}) {
      for (const int64_t dim : {1, 2, 64, 300}) {
        Problem problem({1, q_len, kv_len, 1, 1, dim, 2});
        for (int64_t d = 0; d < dim; ++d) {
          double sum = 0;
          for (int64_t j = 0; j + 1 < kv_len; ++j) sum += problem.key[j * dim + d];
          problem.key[(kv_len - 1) * dim + d] = static_cast<float>(-sum);
        }
        problem.settings.normalization = Normalization::kSum;
        EXPECT_TRUE(IsRefused(problem.Run(), "query 0 in head 0"))
            << q_len << " queries, " << kv_len << " keys of " << dim;
      }
    }
  }
}

TEST(MagnitudesOfSums, ASumAboveItsRoundingErrorIsDivided) {
  // 2 + 2^-20 - 2, whose rounding error is 2 * 2^-24 * 4 at the most.
  FewTokens tokens({{1.0f}}, {{2.0f}, {0x1p-20f}, {-2.0f}});
  ASSERT_TRUE(tokens->Run().ok());
  EXPECT_EQ(tokens->weights, (std::vector<float>{0x1p21f, 1, -0x1p21f}));
  FewTokens nearer({{1.0f}}, {{2.0f}, {0x1p-21f}, {-2.0f}});
  EXPECT_TRUE(IsRefused(nearer->Run(), "sum to 4.76837e-07"));
}

// Neither size nor NaN of a key that a row does not see counts for its sum.
TEST(MagnitudesOfSums, HiddenKeysDoNotCountForTheRoundingError) {
  for (const int64_t q_len : {2, 20}) {
    for (const float hidden : {1e30f, kInf, kNan}) {
      Problem problem({1, q_len, 40, 1, 1, 4, 4});
      for (auto* numbers : {&problem.query, &problem.key}) {
        for (float& x : *numbers) x = std::abs(x) + 0.1f;
      }
      problem.settings.normalization = Normalization::kSum;
      for (AttentionSequence& s : problem.sequences) s.visible_len = 39;
      std::fill(problem.key.end() - 4, problem.key.end(), hidden);
      ASSERT_TRUE(problem.Run().ok()) << hidden;
      EXPECT_TRUE(OutputIsProductOf(problem, problem.weights));
    }
  }
}

// 40 keys of 2 numbers with standard deviation 3, queries the same, values 2^105.
TEST(MagnitudesOfSoftmax, WeightsBeforeDivisionMayBeFarAbove1) {
  Problem problem({1, 40, 40, 1, 1, 2, 2});
  for (float& x : problem.key) x *= 5.2f;
  problem.query = problem.key;
  problem.settings.scale = 1;
  std::fill(problem.value.begin(), problem.value.end(), PowerOf2(105));
  ASSERT_TRUE(problem.Run().ok());
  EXPECT_TRUE(Near(problem.output, std::vector<double>(80, 0x1p105), 1e-5 * 0x1p105));
}

// 0 * inf is NaN, an infinity is the output where its weight is not 0.
TEST(MagnitudesOfSoftmax, InfiniteValuesAmongHugeOnesStayInfinite) {
  for (const int64_t q_len : {1, 20}) {
    Problem problem({1, q_len, 40, 1, 1, 2, 2});
    for (size_t i = 0; i < problem.value.size(); i += 2) problem.value[i] = PowerOf2(127);
    problem.value[7] = kInf;
    problem.settings.scale = 8;
    ASSERT_TRUE(problem.Run().ok());
    for (int64_t i = 0; i < q_len; ++i) {
      EXPECT_NEAR(problem.output[2 * i] * 0x1p-127, 1, 1e-5);
      EXPECT_EQ(problem.output[2 * i + 1], kInf);
    }
  }
}

}  // namespace
}  // namespace attention
