#ifndef ATTENTION_SERVER_ENGINE_STEPS_MERGE_H_
#define ATTENTION_SERVER_ENGINE_STEPS_MERGE_H_

#include "kernels/threads/plan.h"
#include "server/engine/attention_call.h"

namespace attention::engine {

// Adds to `plan` the step that merges the partial results of `call`, whose source they are, to its
// outputs (operator.md, "Partial results"). The step fails as Executor::ParallelFor.
void AddMerge(const AttentionCall& call, Plan& plan);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_STEPS_MERGE_H_
