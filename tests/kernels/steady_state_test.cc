// What AttentionOp::Run does not do once it is warm: create primitives, allocate memory. A program
// of its own, since it replaces operator new and two functions of oneDNN.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <string_view>

#include "kernels/attention/attention_op.h"
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

const std::vector<float> kSlopes = {0.5f, 0.25f, 0.1f, 1.0f}, kSinks = {0.0f, 1.0f, -2.0f, 20.0f};
const std::vector<float> kMask(200 * 200, 0.25f);

const Way kWays[] = {
    {.name = "Full", .shape = {2, 70, 70, 2, 2, 24, 24}},
    {.name = "Bfloat16",
     .shape = {2, 70, 70, 2, 2, 24, 24},
     .compute_type = ComputeType::kBfloat16},
    {.name = "CausalLong",
     .shape = {1, 70, 600, 2, 1, 40, 24},
     .change = [](Problem& p) { p.settings.causal = true; }},
    {.name = "OneQuery", .shape = {8, 1, 600, 8, 2, 24, 24}},
    {.name = "ManySequences", .shape = {200, 3, 20, 2, 2, 16, 16}},
    {.name = "SoftcapInAWindow",
     .shape = {1, 100, 100, 2, 2, 24, 24},
     .change =
         [](Problem& p) {
           p.settings.softcap = 5;
           p.settings.left_window = 30;
         }},
    {.name = "MaskAlibiAndSinks",
     .shape = {2, 70, 200, 4, 2, 24, 24},
     .change =
         [](Problem& p) {
           p.settings.alibi_slopes = kSlopes;
           p.settings.sinks = kSinks;
           for (AttentionSequence& s : p.sequences) {
             s.mask = {.bias = kMask.data(), .row_stride = 200, .key_count = 200};
           }
         }},
    {.name = "PastWithAveragedWeights",
     .shape = {1, 70, 200, 4, 2, 24, 24},
     .change =
         [](Problem& p) {
           p.settings.average_weights = true;
           for (CachedHeadsView* view : {&p.sequences[0].key, &p.sequences[0].value}) {
             view->past = view->current;
             view->past_len = 100;
             view->current.data += 100 * 24 * sizeof(float);
           }
         }},
    {.name = "SumsInsteadOfSoftmax",
     .shape = {1, 70, 100, 4, 4, 24, 24},
     .change =
         [](Problem& p) {
           p.settings.normalization = Normalization::kSum;
           for (auto* numbers : {&p.query, &p.key}) {
             for (float& x : *numbers) x = std::abs(x) + 0.1f;  // no row sums to 0
           }
         }},
};

// What the operator's first call on one thread allocates: what a thread keeps for itself, once.
int AllocationsOfFirstCall(const AttentionOp::Config& config, const Problem& problem) {
  const absl::StatusOr<AttentionOp> op = AttentionOp::Create(config);
  if (!op.ok()) ADD_FAILURE() << op.status();
  Executor executor(1);
  return CountsOf(*op, problem, executor, 1).allocations;
}

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
    const AttentionOp::Config config = {.head_dim = way.shape.head_dim,
                                        .v_head_dim = way.shape.v_head_dim,
                                        .compute_type = way.compute_type};
    const int first = AllocationsOfFirstCall(config, problem);
    EXPECT_GT(PrimitivesCreated(), 0) << "the count sees none at all";
    EXPECT_GT(first, 0) << "the count sees none at all";

    // Which thread takes a tile is oneTBB's to say, so nobody knows when all of them are warm. But
    // once each has what it keeps, no call allocates: so few allocations in so many calls.
    const absl::StatusOr<AttentionOp> op = AttentionOp::Create(config);
    ASSERT_TRUE(op.ok()) << op.status();
    Executor executor(threads);
    CountsOf(*op, problem, executor, 1);
    const int most = (threads + 1) * (first + 2);  // an arena has a slot more; lists grow
    const int calls = 2 * most;
    const Counts counts = CountsOf(*op, problem, executor, calls);
    EXPECT_EQ(counts.primitives, 0);
    EXPECT_LE(counts.allocations, most) << "in " << calls << " calls";
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
