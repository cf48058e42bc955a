#ifndef ATTENTION_SERVER_ENGINE_STEPS_ROTATE_H_
#define ATTENTION_SERVER_ENGINE_STEPS_ROTATE_H_

#include "absl/types/span.h"
#include "kernels/threads/plan.h"
#include "server/engine/steps/member.h"

namespace attention::engine {

// Adds to `plan`, where a call of `members` has a rotary embedding, the step that rotates the
// queries and the current keys of such calls, those that they need (operator.md, "Rotate"); keys of
// the past were rotated when they were made. Rows that are the plan's are rotated in place, others
// are copied. `members` must outlive the plan. The step fails as Executor::ParallelFor.
void AddRotate(absl::Span<Member> members, Plan& plan);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_STEPS_ROTATE_H_
