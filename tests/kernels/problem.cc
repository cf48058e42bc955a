#include "tests/kernels/problem.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "kernels/simd/instruction_set.h"

namespace attention {
namespace {

// Also for the tests that run a kernel without an Executor.
class OneInstructionSet : public testing::Environment {
  void SetUp() override { LimitInstructionSet(); }
};
[[maybe_unused]] const testing::Environment* const one_instruction_set =
    testing::AddGlobalTestEnvironment(new OneInstructionSet);

std::byte* Bytes(std::vector<float>& numbers, int64_t first) {
  return reinterpret_cast<std::byte*>(numbers.data() + first);
}

void Append(std::vector<double>& to, const std::vector<double>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

std::vector<float> RandomFloats(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-1.0f, 1.0f);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(generator);
  return values;
}

std::vector<std::byte> Misaligned(const std::vector<float>& numbers) {
  std::vector<std::byte> bytes(1 + numbers.size() * sizeof(float));
  std::memcpy(bytes.data() + 1, numbers.data(), numbers.size() * sizeof(float));
  return bytes;
}

Problem::Problem(const ProblemShape& s)
    : shape(s),
      sequences(s.batch),
      query(RandomFloats(s.batch * s.num_heads * s.q_len * s.head_dim, 1)),
      key(RandomFloats(s.batch * s.num_kv_heads * s.kv_len * s.head_dim, 2)),
      value(RandomFloats(s.batch * s.num_kv_heads * s.kv_len * s.v_head_dim, 3)) {
  settings.num_heads = s.num_heads;
  settings.num_kv_heads = s.num_kv_heads;
  settings.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(s.head_dim)));
  for (AttentionSequence& sequence : sequences) {
    sequence.q_len = s.q_len;
    sequence.kv_len = sequence.visible_len = s.kv_len;
  }
  Point();
}

void Problem::Point() {
  const ProblemShape& s = shape;
  const auto view = [&](const std::vector<float>& numbers, int64_t heads, int64_t len, int64_t dim,
                        int64_t b) {
    return HeadMajorView(reinterpret_cast<const std::byte*>(numbers.data() + b * heads * len * dim),
                         DataType::kFloat32, len, dim);
  };
  for (int64_t b = 0; b < s.batch; ++b) {
    sequences[b].query = view(query, s.num_heads, s.q_len, s.head_dim, b);
    sequences[b].key.current = view(key, s.num_kv_heads, s.kv_len, s.head_dim, b);
    sequences[b].value.current = view(value, s.num_kv_heads, s.kv_len, s.v_head_dim, b);
  }
}

absl::Status Problem::Run(int threads) {
  const ProblemShape& s = shape;
  const int64_t rows = s.num_heads * s.q_len;  // of one sequence
  output.assign(s.batch * rows * s.v_head_dim, kNan);
  scores.assign(s.batch * rows * s.kv_len, kNan);
  weights.assign(s.batch * (settings.average_weights ? s.q_len : rows) * s.kv_len, kNan);
  weighted_values.assign(s.batch * rows * s.kv_len * s.v_head_dim, kNan);
  log_sum_exp.assign(s.batch * rows, kNan);
  for (int64_t b = 0; b < s.batch; ++b) {
    sequences[b].results = {
        .output = HeadMajorView(Bytes(output, b * rows * s.v_head_dim), DataType::kFloat32, s.q_len,
                                s.v_head_dim),
        .attention_scores = Bytes(scores, b * rows * s.kv_len),
        .attention_weights = Bytes(weights, b * static_cast<int64_t>(weights.size()) / s.batch),
        .weighted_values = Bytes(weighted_values, b * rows * s.kv_len * s.v_head_dim),
        .log_sum_exp = log_sum_exp.data() + b * rows};
  }
  return RunAsIs(threads);
}

absl::Status Problem::RunAsIs(int threads) const {
  const absl::StatusOr<AttentionOp> op = AttentionOp::Create(
      {.head_dim = shape.head_dim, .v_head_dim = shape.v_head_dim, .compute_type = compute_type});
  if (!op.ok()) return op.status();
  Executor executor(threads);
  return op->Run(settings, sequences, executor);
}

ReferenceResult ReferenceBatch(const Problem& problem) {
  ReferenceResult all;
  for (const AttentionSequence& sequence : problem.sequences) {
    const ReferenceResult one = ReferenceAttention(
        problem.settings, sequence, problem.shape.head_dim, problem.shape.v_head_dim);
    Append(all.raw_scores, one.raw_scores);
    Append(all.softcapped_scores, one.softcapped_scores);
    Append(all.biased_scores, one.biased_scores);
    Append(all.attention_weights, one.attention_weights);
    Append(all.mean_weights, one.mean_weights);
    Append(all.weighted_values, one.weighted_values);
    Append(all.output, one.output);
    Append(all.log_sum_exp, one.log_sum_exp);
    Append(all.score_sizes, one.score_sizes);
    Append(all.output_sizes, one.output_sizes);
  }
  return all;
}

testing::AssertionResult Near(const std::vector<float>& got, const std::vector<double>& want,
                              const std::function<double(size_t)>& tolerance) {
  if (got.size() != want.size()) {
    return testing::AssertionFailure() << got.size() << " elements; want " << want.size();
  }
  // The worst element is the one that is most often its tolerance away.
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if ((std::isnan(got[i]) && std::isnan(want[i])) || got[i] == want[i]) continue;
    const double error = std::abs(got[i] - want[i]) / tolerance(i);
    if (std::isnan(error) || error > worst) {
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      at = i;
    }
  }
  if (worst <= 1) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "element " << at << " is " << got[at] << "; want "
                                     << want[at] << " within " << tolerance(at);
}

testing::AssertionResult Near(const std::vector<float>& got, const std::vector<double>& want,
                              double tolerance) {
  return Near(got, want, [&](size_t) { return tolerance; });
}

double OutputTolerance(const std::vector<double>& want) {
  double largest = 0;
  for (const double x : want) {
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  }
  return 1e-5 * largest;
}

void ExpectMatchesOracle(const Problem& problem) {
  const ReferenceResult want = ReferenceBatch(problem);
  const AttentionSettings& settings = problem.settings;
  const auto kv_len = static_cast<size_t>(problem.shape.kv_len);
  const auto v_dim = static_cast<size_t>(problem.shape.v_head_dim);
  const bool bfloat16 = problem.compute_type == ComputeType::kBfloat16;
  // Of what rounding takes off a number at most, relative to it.
  constexpr double kFloatUnit = 1.0 / (1 << 24), kBfloat16Unit = 1.0 / (1 << 8);

  // operator.md: float32's bound for a score. bfloat16: each of the two factors is rounded as well.
  // What a stage adds is rounded once more, and the cap is as exact as its tanh.
  const std::vector<double>& scores = settings.score_stage == ScoreStage::kRaw ? want.raw_scores
                                      : settings.score_stage == ScoreStage::kSoftcapped
                                          ? want.softcapped_scores
                                          : want.biased_scores;
  const double units = 2 * static_cast<double>(problem.shape.head_dim) * kFloatUnit +
                       (bfloat16 ? 2 * kBfloat16Unit : 0);
  const double cap = settings.softcap * (bfloat16 ? 2e-4 : 4 * kFloatUnit);
  const auto product = [&](size_t i) { return units * want.score_sizes[i] + cap; };
  EXPECT_TRUE(Near(problem.scores, scores, [&](size_t i) {
    const bool raw = settings.score_stage == ScoreStage::kRaw;
    return product(i) + (raw ? 0 : 4 * kFloatUnit * std::abs(scores[i]));
  })) << "scores";

  // How far off the scores of row i can be: a weight e^s / sum e^s is off by as much of itself for
  // its own score, and as much for the sum.
  const auto row_error = [&](size_t row) {
    double error = 0;
    for (size_t j = row * kv_len; j < (row + 1) * kv_len; ++j) {
      const double biased = want.biased_scores[j];
      const double bias = std::isfinite(biased) ? 4 * kFloatUnit * std::abs(biased) : 0;
      error = std::max(error, product(j) + bias);
    }
    return error;
  };
  std::vector<double> row_errors;
  for (size_t row = 0; row < want.log_sum_exp.size(); ++row) row_errors.push_back(row_error(row));
  const double largest_error =
      row_errors.empty() ? 0 : *std::max_element(row_errors.begin(), row_errors.end());

  // bfloat16 weights are e^s within 3e-6; P and V are rounded before their product.
  const auto relative = [&](double score_error) { return 2 * score_error + 1e-5; };
  const std::vector<double>& weights =
      settings.average_weights ? want.mean_weights : want.attention_weights;
  const double largest_weight = OutputTolerance(weights) / 1e-5;
  const double weight = bfloat16 ? relative(largest_error) : 1e-5;
  EXPECT_TRUE(Near(problem.weights, weights, weight * largest_weight)) << "weights";
  EXPECT_TRUE(Near(problem.weighted_values, want.weighted_values, weight * largest_weight))
      << "weighted values";
  EXPECT_TRUE(Near(problem.output, want.output, [&](size_t i) {
    if (!bfloat16) return OutputTolerance(want.output);
    return (relative(row_errors[i / v_dim]) + 2 * kBfloat16Unit) * want.output_sizes[i];
  })) << "output";
  if (settings.normalization == Normalization::kSoftmax) {
    EXPECT_TRUE(Near(problem.log_sum_exp, want.log_sum_exp, [&](size_t i) {
      return row_errors[i] + 1e-5 * std::max(1.0, std::abs(want.log_sum_exp[i]));
    })) << "log-sum-exp";
  }
}

}  // namespace attention
