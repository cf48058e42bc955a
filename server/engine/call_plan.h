#ifndef ATTENTION_SERVER_ENGINE_CALL_PLAN_H_
#define ATTENTION_SERVER_ENGINE_CALL_PLAN_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/memory/working_memory.h"
#include "kernels/threads/executor.h"
#include "server/engine/any_call.h"
#include "server/engine/operators.h"
#include "server/models/packed_layers.h"

namespace attention::engine {

// What RunCalls takes for `call` on `threads` threads: its plan (AttentionPlan, EncodePlan),
// counted. Needs no outputs, but makes the operators of a call that is the first of its widths.
// INVALID_ARGUMENT or INTERNAL where that fails.
//
// Never less than what RunCalls allocates at its peak on an executor that is new; the sum over the
// calls of a batch is never less than what the batch allocates. Operators that are made then and
// kept do not count. On one thread it is at most WorkingMemory::kSmallBytes more than
//   1.2 times the peak  of an attention call without a stored layer, which always runs alone;
//   2.4 times the peak  of any other, alone or in a batch: it is counted as in the batch that takes
//                       most, where rows are put together, one member has a context of its own,
//                       and all keys and values are packed before they are read; the attention
//                       that probes look at is counted once more.
// On several threads each is counted with a workspace, though some may find nothing to do.
absl::StatusOr<WorkingMemory> CountMemory(const AnyCall& call, Operators& operators, int threads);

// Computes what is wanted of each of `calls`: one call, or several with one BatchKey, which have
// the same bits either way. `packed` is their stored layer, or null where they have none. Fails as
// the steps of their plan.
absl::Status RunCalls(absl::Span<const AnyCall> calls, const PackedLayer* packed,
                      Operators& operators, Executor& executor);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_CALL_PLAN_H_
