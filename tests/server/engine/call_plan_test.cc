// A call's plan has the steps that the call needs, and no others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/engine/attention_plan.h"

namespace attention::engine {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr int64_t kLen = 3, kWidth = 8;

// The names of the steps of `call`, counted.
std::vector<std::string> StepsOf(const AttentionCall& call) {
  Operators operators;
  AttentionPlan plan(call, operators, 1);
  const absl::Status status = plan.Write();
  EXPECT_TRUE(status.ok()) << status;
  const absl::Span<const absl::string_view> names = plan.plan().step_names();
  return {names.begin(), names.end()};
}

AttentionCall CallFor(Result result) {
  AttentionCall call;
  call.shape = {.q_len = kLen, .kv_len = kLen, .head_dim = kWidth, .v_head_dim = kWidth};
  call.sequences = {{.q_len = kLen, .kv_len = kLen, .visible_len = kLen}};
  call.source_len = kLen;
  call.wanted.Add(result);
  return call;
}

AttentionCall TokensWithoutWeights(Result result) {
  AttentionCall call = CallFor(result);
  TokensSource source;
  source.d_model = kWidth;
  call.source = source;
  return call;
}

AttentionCall TokensWithWeights(Result result, bool projects_output) {
  AttentionCall call = CallFor(result);
  Projections projections;
  for (Linear* const linear : {&projections.q, &projections.k, &projections.v}) {
    linear->weight.in = linear->weight.out = kWidth;
  }
  if (projects_output) projections.o = projections.q;
  TokensSource source;
  source.d_model = kWidth;
  source.projections = projections;
  call.source = source;
  return call;
}

TEST(CallPlan, AttendsAloneWhereQueriesKeysAndValuesAreGiven) {
  EXPECT_THAT(StepsOf(TokensWithoutWeights(Result::kOutput)), ElementsAre("attend"));
}

TEST(CallPlan, ProjectsWhereThereAreWeights) {
  EXPECT_THAT(StepsOf(TokensWithWeights(Result::kOutput, false)), ElementsAre("project", "attend"));
  EXPECT_THAT(StepsOf(TokensWithWeights(Result::kOutput, true)),
              ElementsAre("project", "attend", "project output"));
  EXPECT_THAT(StepsOf(TokensWithWeights(Result::kAttentionWeights, true)),
              ElementsAre("project", "attend"));
}

TEST(CallPlan, GathersAndRotatesWhereTheCallAsksForIt) {
  AttentionCall call = TokensWithWeights(Result::kOutput, false);
  call.query_indices = {2, 0};
  call.rotary.emplace();
  EXPECT_THAT(StepsOf(call), ElementsAre("gather", "project", "rotate", "attend"));
}

TEST(CallPlan, RunsTheStepsThatWereCounted) {
  AttentionCall call = TokensWithWeights(Result::kOutput, true);
  call.wanted.Add(Result::kQuery);
  call.rotary.emplace();
  Operators operators;
  Executor executor(1);
  AttentionPlan plan({&call}, nullptr, operators, executor);
  ASSERT_TRUE(plan.Write().ok());
  EXPECT_THAT(plan.plan().step_names(), ElementsAreArray(StepsOf(call)));
  EXPECT_THAT(StepsOf(call),
              ElementsAre("project", "rotate", "return heads", "attend", "project output"));
}

TEST(CallPlan, DoesNotAttendForKeysAlone) {
  EXPECT_THAT(StepsOf(TokensWithWeights(Result::kKey, true)),
              ElementsAre("project", "return heads"));
}

TEST(CallPlan, MergesPartialResultsAndCombinesGivenWeights) {
  AttentionCall partials = CallFor(Result::kOutput);
  partials.source = PartialsSource{.parts = {{}}};
  EXPECT_THAT(StepsOf(partials), ElementsAre("merge"));
  AttentionCall weighted = CallFor(Result::kOutput);
  weighted.source = WeightedSource();
  EXPECT_THAT(StepsOf(weighted), ElementsAre("combine"));
}

TEST(CallPlan, HasTheStepThatMakesEachResult) {
  for (const ResultRow& row : kResults) {
    SCOPED_TRACE(row.field);
    EXPECT_EQ(&RowOf(row.result), &row);
    EXPECT_THAT(StepsOf(TokensWithoutWeights(row.result)),
                ElementsAre(row.needs_operator ? "attend" : "return heads"));
  }
}

}  // namespace
}  // namespace attention::engine
