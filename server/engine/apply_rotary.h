#ifndef ATTENTION_SERVER_ENGINE_APPLY_ROTARY_H_
#define ATTENTION_SERVER_ENGINE_APPLY_ROTARY_H_

#include "absl/status/status.h"
#include "kernels/memory/working_memory.h"
#include "kernels/threads/executor.h"
#include "server/engine/attention_call.h"

// The rotary embedding of a call, where it asks for one; nothing otherwise. Fails as
// Executor::ParallelFor.
namespace attention::engine {

// What each of the two takes at the most.
WorkingMemory ApplyRotaryMemory(const AttentionCall& call);

// Of the queries that are computed. `to` may be `from`.
absl::Status ApplyRotaryToQueries(const AttentionCall& call, const BatchView& from,
                                  const MutableBatchView& to, Executor& executor);

// Of the call's own keys; those of the past were rotated when they were made. `to` may be `from`.
absl::Status ApplyRotaryToKeys(const AttentionCall& call, const BatchView& from,
                               const MutableBatchView& to, Executor& executor);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_APPLY_ROTARY_H_
