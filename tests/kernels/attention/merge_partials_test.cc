#include "kernels/attention/merge_partials.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/kernels/problem.h"

namespace attention {
namespace {

constexpr int64_t kHeads = 2, kLen = 5, kDim = 6;

struct Part {
  std::vector<float> output, log_sum_exp;

  PartialAttention View() const {
    return {HeadMajorView(reinterpret_cast<const std::byte*>(output.data()), DataType::kFloat32,
                          kLen, kDim),
            log_sum_exp.data()};
  }
};

Part Merge(const std::vector<Part>& parts) {
  std::vector<PartialAttention> views;
  for (const Part& part : parts) views.push_back(part.View());
  Part merged = {std::vector<float>(kHeads * kLen * kDim, kNan),
                 std::vector<float>(kHeads * kLen, kNan)};
  MergePartials(views, kHeads, kLen, kDim,
                HeadMajorView(reinterpret_cast<std::byte*>(merged.output.data()),
                              DataType::kFloat32, kLen, kDim),
                merged.log_sum_exp.data());
  return merged;
}

// Attention of the same queries over keys [first, first + count).
Part Attend(int64_t first, int64_t count, ReferenceResult* oracle = nullptr) {
  constexpr int64_t kKeys = 100;
  Problem problem({.q_len = kLen,
                   .kv_len = kKeys,
                   .num_heads = kHeads,
                   .num_kv_heads = 1,
                   .head_dim = 8,
                   .v_head_dim = kDim});
  problem.settings.scale = 3;
  if (oracle != nullptr) *oracle = ReferenceBatch(problem);
  AttentionSequence& s = problem.sequences[0];
  s.key.current.data = s.key.current.Row(0, first);
  s.value.current.data = s.value.current.Row(0, first);
  s.kv_len = s.visible_len = count;
  EXPECT_TRUE(problem.Run().ok());
  return {problem.output, problem.log_sum_exp};
}

TEST(MergePartials, GivesWhatAllKeysTogetherGive) {
  ReferenceResult want;
  const Part merged = Merge({Attend(0, 64, &want), Attend(64, 35), Attend(99, 1)});
  EXPECT_TRUE(Near(merged.output, want.output, OutputTolerance(want.output)));
  EXPECT_TRUE(Near(merged.log_sum_exp, want.log_sum_exp, 1e-5));
}

TEST(MergePartials, LeavesOutPartsThatSeeNothing) {
  const Part seen = Attend(0, 10);
  Part unseen = seen;
  std::fill(unseen.output.begin(), unseen.output.end(), kNan);  // must not be read
  std::fill(unseen.log_sum_exp.begin(), unseen.log_sum_exp.end(), -kInf);
  EXPECT_EQ(Merge({unseen, seen, unseen}).output, seen.output);
  EXPECT_EQ(Merge({unseen, seen, unseen}).log_sum_exp, seen.log_sum_exp);

  const Part nothing = Merge({unseen, unseen});
  EXPECT_EQ(nothing.output, std::vector<float>(kHeads * kLen * kDim, 0));
  EXPECT_EQ(nothing.log_sum_exp, unseen.log_sum_exp);
}

TEST(MergePartials, ShowsANan) {
  Part part = Attend(0, 10);
  Part poisoned = part;
  poisoned.log_sum_exp[3] = kNan;
  const Part merged = Merge({part, poisoned});
  EXPECT_TRUE(std::isnan(merged.log_sum_exp[3]));
  EXPECT_TRUE(std::isnan(merged.output[3 * kDim]));
  EXPECT_FALSE(std::isnan(merged.output[4 * kDim]));
}

// Sums of exponentials that far apart overflow where nothing is subtracted first.
TEST(MergePartials, OverflowsForNoFiniteLogarithm) {
  Part small = Attend(0, 10), large = Attend(10, 10);
  for (float& l : small.log_sum_exp) l = -3e38f;
  for (float& l : large.log_sum_exp) l = 3e38f;
  EXPECT_EQ(Merge({small, large}).output, large.output);
}

}  // namespace
}  // namespace attention
