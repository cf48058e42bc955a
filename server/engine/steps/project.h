#ifndef ATTENTION_SERVER_ENGINE_STEPS_PROJECT_H_
#define ATTENTION_SERVER_ENGINE_STEPS_PROJECT_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/memory/data_type.h"
#include "kernels/products/packed_weight.h"
#include "kernels/threads/plan.h"
#include "server/engine/attention_call.h"
#include "server/engine/operators.h"

// The step of a plan that multiplies rows by learned weights.
namespace attention::engine {

// One learned projection: y = x weight + bias (operator.md, "Project", "Project the output").
struct Projection {
  const Linear* linear = nullptr;
  const NumbersView* x = nullptr;  // [rows, in]; projections of one `x` share its conversion
  int64_t rows = 0;
  float* y = nullptr;  // [rows, out]; null where the plan is counted
};

// Adds to `plan` the step `name`, which computes all of `projections` at once, and its buffers: the
// rows as operands, where those are of another type. Fails as LinearOp::Create; the step fails as
// LinearOp::Run.
absl::Status AddProjections(absl::string_view name, ComputeType compute_type,
                            const std::vector<Projection>& projections, Operators& operators,
                            Plan& plan);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_STEPS_PROJECT_H_
