#include "tests/kernels/problem.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/instruction_set.h"

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
  }
  return all;
}

testing::AssertionResult Near(const std::vector<float>& got, const std::vector<double>& want,
                              double tolerance) {
  if (got.size() != want.size()) {
    return testing::AssertionFailure() << got.size() << " elements; want " << want.size();
  }
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if ((std::isnan(got[i]) && std::isnan(want[i])) || got[i] == want[i]) continue;
    const double error = std::abs(got[i] - want[i]);
    if (std::isnan(error) || error > worst) {
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      at = i;
    }
  }
  if (worst <= tolerance) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "element " << at << " is " << got[at] << "; want "
                                     << want[at] << " within " << tolerance;
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
  const bool bfloat16 = problem.compute_type == ComputeType::kBfloat16;
  // Numbers lie in [-1, 1]: sum |q_i k_i| is at most head_dim. float32's bound for a score, and
  // bfloat16's, whose two factors are each off by half a unit of 2^-8 of their size.
  const double dim = static_cast<double>(problem.shape.head_dim);
  const double unit = bfloat16 ? std::ldexp(1.0, -8) : 2 * dim * std::ldexp(1.0, -24);
  const double score = unit * dim * std::abs(settings.scale);
  // A weight e^s is off by as much as s relative to itself; P and V are rounded once more.
  const double relative = bfloat16 ? score + 3 * std::ldexp(1.0, -8) : 1e-5;
  const auto tolerance = [&](const std::vector<double>& numbers) {
    return OutputTolerance(numbers) * relative / 1e-5;
  };
  const std::vector<double>& scores = settings.score_stage == ScoreStage::kRaw ? want.raw_scores
                                      : settings.score_stage == ScoreStage::kSoftcapped
                                          ? want.softcapped_scores
                                          : want.biased_scores;
  EXPECT_TRUE(Near(problem.scores, scores, score + OutputTolerance(scores) * 0.1)) << "scores";
  const std::vector<double>& weights =
      settings.average_weights ? want.mean_weights : want.attention_weights;
  EXPECT_TRUE(Near(problem.weights, weights, tolerance(weights))) << "weights";
  EXPECT_TRUE(Near(problem.weighted_values, want.weighted_values, tolerance(weights)))
      << "weighted values";
  EXPECT_TRUE(Near(problem.output, want.output, bfloat16 ? relative : OutputTolerance(want.output)))
      << "output";
  if (settings.normalization == Normalization::kSoftmax) {
    EXPECT_TRUE(
        Near(problem.log_sum_exp, want.log_sum_exp, score + OutputTolerance(want.log_sum_exp)))
        << "log-sum-exp";
  }
}

}  // namespace attention
