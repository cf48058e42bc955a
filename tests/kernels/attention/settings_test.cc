// What the operator's settings do to the scores: softcap, ALiBi, windows, sinks, stages, past keys.
#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "kernels/simd/convert.h"
#include "tests/kernels/problem.h"
#include "tests/sweep.h"

namespace attention {
namespace {

// Few rows, which read keys in place; one tile of rows; several tiles.
const int64_t kRowCounts[] = {1, 20, SweepsAll() ? 150 : 70};

ProblemShape Shape(int64_t q_len) { return {2, q_len, 300, 4, 2, 12, 10}; }

void RunAgainstOracle(Problem& problem) {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    SCOPED_TRACE(testing::Message() << "q_len " << problem.shape.q_len << " bfloat16 "
                                    << (type == ComputeType::kBfloat16));
    problem.compute_type = type;
    ASSERT_TRUE(problem.Run().ok());
    ExpectMatchesOracle(problem);
  }
}

TEST(Settings, SoftcapBoundsTheScores) {
  for (const int64_t q_len : kRowCounts) {
    Problem problem(Shape(q_len));
    problem.settings.softcap = 0.4f;
    for (const ScoreStage stage :
         {ScoreStage::kRaw, ScoreStage::kSoftcapped, ScoreStage::kBiased}) {
      problem.settings.score_stage = stage;
      RunAgainstOracle(problem);
    }
    for (const float score : problem.scores) ASSERT_LE(std::abs(score), 0.4f);
  }
}

TEST(Settings, AlibiFallsWithTheDistance) {
  const std::vector<float> slopes = {0.5f, 0.25f, 0.125f, 1.0f};
  for (const int64_t q_len : kRowCounts) {
    Problem problem(Shape(q_len));
    problem.settings.alibi_slopes = slopes;
    problem.settings.score_stage = ScoreStage::kBiased;
    for (const bool causal : {false, true}) {
      problem.settings.causal = causal;
      RunAgainstOracle(problem);
    }
  }
}

TEST(Settings, WindowsAndCausalityComposeAtAnyOffset) {
  for (const int64_t q_len : kRowCounts) {
    Problem problem(Shape(q_len));
    problem.settings.score_stage = ScoreStage::kBiased;
    std::vector<std::pair<int64_t, int64_t>> windows = {{2, -1}, {-1, 3}, {70, 5}};
    std::vector<int64_t> offsets = {300 - q_len, -40};
    if (SweepsAll()) {
      windows.insert(windows.end(), {{0, 0}, {1000, 1000}});
      offsets.insert(offsets.end(), {0, 500});
    }
    for (const bool causal : {false, true}) {
      for (const auto& [left, right] : windows) {
        for (const int64_t offset : offsets) {
          SCOPED_TRACE(testing::Message() << left << " " << right << " offset " << offset);
          problem.settings.causal = causal;
          problem.settings.left_window = left;
          problem.settings.right_window = right;
          for (AttentionSequence& s : problem.sequences) s.causal_offset = offset;
          RunAgainstOracle(problem);
        }
      }
    }
  }
}

TEST(Settings, ASinkTakesWeightAndGivesNoValue) {
  const std::vector<float> sinks = {0.5f, -3.0f, 40.0f, 0.0f};
  for (const int64_t q_len : kRowCounts) {
    Problem problem(Shape(q_len));
    problem.settings.sinks = sinks;
    RunAgainstOracle(problem);
    double sum = 0;
    for (int64_t j = 0; j < 300; ++j) sum += problem.weights[j];
    EXPECT_LT(sum, 1.0);
  }
}

TEST(Settings, ScaleMayBeNegativeOrNothing) {
  for (const int64_t q_len : kRowCounts) {
    Problem problem(Shape(q_len));
    for (const float scale : {-0.7f, 0.0f, 1.0f, 3.0f}) {
      problem.settings.scale = scale;
      RunAgainstOracle(problem);
    }
  }
}

TEST(Settings, WeightsAreAveragedOverHeads) {
  for (const int64_t q_len : kRowCounts) {
    Problem problem(Shape(q_len));
    problem.settings.average_weights = true;
    RunAgainstOracle(problem);
  }
}

TEST(Settings, PastKeysStandBeforeTheCurrentOnes) {
  for (const int64_t q_len : kRowCounts) {
    for (const int64_t past_len : {1, 64, 100, 299}) {
      Problem whole(Shape(q_len));
      Problem split(Shape(q_len));
      for (int64_t b = 0; b < 2; ++b) {
        for (CachedHeadsView* view : {&split.sequences[b].key, &split.sequences[b].value}) {
          view->past = view->current;  // [kv_heads, 300, dim]: its first tokens
          view->past_len = past_len;
          view->current.data += past_len * view->current.row_stride * 4;
        }
      }
      ASSERT_TRUE(whole.Run().ok());
      ASSERT_TRUE(split.Run().ok());
      EXPECT_EQ(split.output, whole.output) << "past " << past_len;
      ExpectMatchesOracle(split);
    }
  }
}

TEST(Settings, KeysOfOtherTypesAreReadInPlace) {
  for (const int64_t q_len : kRowCounts) {
    Problem problem(Shape(q_len));
    std::vector<double> key(problem.key.begin(), problem.key.end());
    std::vector<uint16_t> value(problem.value.size());
    FromFloat32(problem.value.data(), static_cast<int64_t>(value.size()), DataType::kBfloat16,
                value.data());
    const ProblemShape s = problem.shape;
    for (int64_t b = 0; b < 2; ++b) {
      problem.sequences[b].key.current =
          HeadMajorView(reinterpret_cast<const std::byte*>(key.data() + b * 2 * 300 * s.head_dim),
                        DataType::kFloat64, 300, s.head_dim);
      problem.sequences[b].value.current = HeadMajorView(
          reinterpret_cast<const std::byte*>(value.data() + b * 2 * 300 * s.v_head_dim),
          DataType::kBfloat16, 300, s.v_head_dim);
    }
    RunAgainstOracle(problem);
  }
}

// One part has the sinks; were they in both, they would count twice.
TEST(Settings, PartialResultsOverDisjointKeysMergeByTheirLogSumExp) {
  const std::vector<float> sinks = {0.5f, -3.0f, 4.0f, 0.0f};
  std::vector<uint8_t> later(300, 1);
  std::fill_n(later.begin(), 120, 0);
  for (const int64_t q_len : kRowCounts) {
    for (const bool with_sinks : {false, true}) {
      Problem whole(Shape(q_len)), first(Shape(q_len)), second(Shape(q_len));
      if (with_sinks) whole.settings.sinks = first.settings.sinks = sinks;
      for (AttentionSequence& s : first.sequences) s.visible_len = 120;
      for (AttentionSequence& s : second.sequences) {
        s.mask = {.visible = later.data(), .key_count = 300};
      }
      for (Problem* problem : {&whole, &first, &second}) ASSERT_TRUE(problem->Run().ok());
      for (size_t row = 0; row < whole.log_sum_exp.size(); ++row) {
        const double a = std::exp(first.log_sum_exp[row]), b = std::exp(second.log_sum_exp[row]);
        EXPECT_NEAR(std::log(a + b), whole.log_sum_exp[row], 1e-5);
        for (int64_t d = 0; d < 10; ++d) {
          const double merged =
              (a * first.output[row * 10 + d] + b * second.output[row * 10 + d]) / (a + b);
          EXPECT_NEAR(merged, whole.output[row * 10 + d], 1e-5);
        }
      }
    }
  }
}

}  // namespace
}  // namespace attention
