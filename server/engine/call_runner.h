#ifndef ATTENTION_SERVER_ENGINE_CALL_RUNNER_H_
#define ATTENTION_SERVER_ENGINE_CALL_RUNNER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_op.h"
#include "kernels/memory/working_memory.h"
#include "kernels/threads/executor.h"
#include "server/engine/attention_call.h"
#include "server/engine/op_cache.h"
#include "server/engine/projector.h"
#include "server/models/packed_layers.h"

namespace attention::engine {

// What a call computes, step by step (kernels/operator.md): project, rotate, attend, project the
// output. Keeps the operators that it made. Thread-safe.
class CallRunner {
 public:
  // The memory that Run takes for `call` on `threads` threads, in bytes; a double, which does not
  // overflow. Needs no outputs, but compiles the operators of a call that is the first of its
  // widths. INVALID_ARGUMENT or INTERNAL where that fails.
  //
  // Never less than what Run allocates at its peak on an executor that is new; the sum over the
  // calls of a batch is never less than what the batch allocates. Operators that are made then and
  // kept do not count. On one thread it is at most WorkingMemory::kSmallBytes more than
  //   1.2 times the peak  of a call without a stored layer, which always runs alone: what two steps
  //                       borrow one after the other is counted twice;
  //   2.4 times the peak  of a call with one, alone or in a batch: it is counted as in the batch
  //                       that takes most, where rows are put together, one member has a context
  //                       of its own, and all keys and values are packed before they are read.
  // On several threads each is counted with a workspace, though some may find nothing to do.
  absl::StatusOr<double> WorkingBytes(const AttentionCall& call, int threads);

  // Computes what is wanted of each of `calls`: one call, or several with one BatchKey, which have
  // the same bits either way. `packed` is their stored layer, or null where they have none. Fails
  // as AttentionOp::Run and LinearOp::Run.
  absl::Status Run(absl::Span<const AttentionCall* const> calls, const PackedLayer* packed,
                   Executor& executor);

 private:
  absl::StatusOr<WorkingMemory> Memory(const AttentionCall& call, int threads);
  absl::Status RunTokens(const AttentionCall& call, const TokensSource& source, Executor& executor);
  absl::Status RunLearned(absl::Span<const AttentionCall* const> calls,
                          const Projections& projections, Executor& executor);
  absl::Status RunProjected(const AttentionCall& call, const ProjectedSource& source,
                            Executor& executor);
  absl::Status RunWeighted(const AttentionCall& call, const WeightedSource& source,
                           Executor& executor);
  absl::Status RunPartials(const AttentionCall& call, const PartialsSource& source,
                           Executor& executor);
  // `sequences` of calls like `call`.
  absl::Status Attend(const AttentionCall& call, std::vector<AttentionSequence> sequences,
                      Executor& executor);
  absl::StatusOr<std::shared_ptr<const AttentionOp>> OpFor(const AttentionCall& call);

  Projector projector_;
  OpCache<AttentionOp> attention_ops_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_CALL_RUNNER_H_
