#ifndef ATTENTION_SERVER_ENGINE_STEPS_ROTATE_H_
#define ATTENTION_SERVER_ENGINE_STEPS_ROTATE_H_

#include "kernels/threads/executor.h"
#include "kernels/threads/plan.h"
#include "server/engine/steps/member.h"

namespace attention::engine {

// Adds to `plan`, where the call of `member` has a rotary embedding, the step that rotates its
// queries and its current keys, those that it needs (operator.md, "Rotate"); keys of the past were
// rotated when they were made. Rows that are the plan's are rotated in place, others are copied.
// `executor` is that of the plan, or null where it is counted. The step fails as
// Executor::ParallelFor.
void AddRotate(Member& member, Executor* executor, Plan& plan);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_STEPS_ROTATE_H_
