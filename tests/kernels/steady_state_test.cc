// What AttentionOp::Run does not do once it is warm: create primitives, allocate memory. A program
// of its own, since it replaces operator new and two functions of oneDNN.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string_view>

#include "kernels/attention_op.h"
#include "tests/kernels/onednn_created.h"
#include "tests/kernels/problem.h"
#include "tests/operator_new.h"

namespace attention {
namespace {

std::atomic<int> allocations = 0;

// oneDNN and oneTBB keep books of their own, which are not ours to count.
bool IsOurs(const void* caller) {
  Dl_info info;
  if (dladdr(caller, &info) == 0 || info.dli_fname == nullptr) return true;
  const std::string_view file = info.dli_fname;
  return file.find("libdnnl") == file.npos && file.find("libtbb") == file.npos;
}

}  // namespace

void WhenAsked(size_t, size_t, const void* caller) {
  if (IsOurs(caller)) ++allocations;
}
void WhenAllocated(void*) {}
void WhenFreed(void*) {}

}  // namespace attention

namespace attention {
namespace {

struct Counts {
  int primitives = 0;
  int allocations = 0;
};

Counts CountsOf(const AttentionOp& op, const Problem& problem, Executor& executor, int calls) {
  const Counts before = {PrimitivesCreated(), allocations};
  for (int i = 0; i < calls; ++i) {
    const absl::Status status = op.Run(problem.settings, problem.sequences, executor);
    if (!status.ok()) ADD_FAILURE() << status;
  }
  return {PrimitivesCreated() - before.primitives, allocations - before.allocations};
}

// A way to call the operator.
struct Way {
  const char* name;
  ProblemShape shape;
  ComputeType compute_type = ComputeType::kFloat32;
  void (*change)(Problem& problem) = [](Problem&) {};
};

const Way kWays[] = {
    {.name = "Full", .shape = {2, 130, 130, 4, 4, 64, 64}},
    {.name = "Bfloat16",
     .shape = {2, 130, 130, 4, 4, 64, 64},
     .compute_type = ComputeType::kBfloat16},
    {.name = "CausalLong",
     .shape = {1, 200, 600, 2, 1, 128, 80},
     .change = [](Problem& p) { p.settings.causal = true; }},
    {.name = "OneQuery", .shape = {3, 1, 900, 8, 2, 64, 64}},
    {.name = "SoftcapInAWindow",
     .shape = {1, 200, 200, 2, 2, 40, 40},
     .change =
         [](Problem& p) {
           p.settings.softcap = 5;
           p.settings.left_window = 30;
         }},
};

class SteadyState : public testing::TestWithParam<std::tuple<Way, int>> {};

TEST_P(SteadyState, CreatesNoPrimitiveAndAllocatesNothing) {
  const auto& [way, threads] = GetParam();
  Problem problem(way.shape);
  way.change(problem);
  ASSERT_TRUE(problem.Run().ok());  // points the sequences at memory for all results
  for (const bool output_alone : {false, true}) {
    if (output_alone) {
      for (AttentionSequence& s : problem.sequences) s.results = {.output = s.results.output};
    }
    absl::StatusOr<AttentionOp> op = AttentionOp::Create({.head_dim = way.shape.head_dim,
                                                          .v_head_dim = way.shape.v_head_dim,
                                                          .compute_type = way.compute_type});
    ASSERT_TRUE(op.ok()) << op.status();
    EXPECT_GT(PrimitivesCreated(), 0) << "the count sees none at all";
    EXPECT_GT(allocations, 0) << "the count sees none at all";
    Executor executor(threads);
    // Warm is who has had as many products run at the same time as ever will, and each of the
    // threads that may take part has had a tile: after a few calls, which ones is oneTBB's to say.
    CountsOf(*op, problem, executor, 1);
    Counts counts = CountsOf(*op, problem, executor, 10);
    for (int i = 0; counts.allocations > 0 && i < 20; ++i) {
      counts = CountsOf(*op, problem, executor, 10);
    }
    EXPECT_EQ(counts.primitives, 0);
    EXPECT_EQ(counts.allocations, 0) << "in 10 calls";
  }
}

std::string WayName(const testing::TestParamInfo<SteadyState::ParamType>& info) {
  return std::string(std::get<0>(info.param).name) + "On" +
         std::to_string(std::get<1>(info.param)) + "Threads";
}
INSTANTIATE_TEST_SUITE_P(Ways, SteadyState,
                         testing::Combine(testing::ValuesIn(kWays), testing::Values(1, 2)),
                         WayName);

}  // namespace
}  // namespace attention
