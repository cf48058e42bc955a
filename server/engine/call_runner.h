#ifndef ATTENTION_SERVER_ENGINE_CALL_RUNNER_H_
#define ATTENTION_SERVER_ENGINE_CALL_RUNNER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/attention_op.h"
#include "kernels/executor.h"
#include "server/engine/attention_call.h"
#include "server/engine/layers/packed_layers.h"
#include "server/engine/op_cache.h"
#include "server/engine/projector.h"

namespace attention::engine {

// What a call computes, step by step (operator.md): project, turn, attend, project. Keeps the
// operators that it made. Thread-safe.
class CallRunner {
 public:
  // `layers`, which must outlive this, packs the weights of calls that name a stored layer.
  explicit CallRunner(PackedLayers& layers) : layers_(layers) {}

  // The memory that Run takes for `call` on `threads` threads, in bytes; a double, which does not
  // overflow. Needs no outputs, but compiles the operators of a call that is the first of its
  // widths. INVALID_ARGUMENT or INTERNAL where that fails.
  absl::StatusOr<double> WorkingBytes(const AttentionCall& call, int threads);

  // Computes what is wanted. Fails as AttentionOp::Run, LinearOp::Run and PackedLayers::Get.
  absl::Status Run(const AttentionCall& call, Executor& executor);

 private:
  absl::Status RunStored(const AttentionCall& call, TokensSource source, Executor& executor);
  absl::Status RunTokens(const AttentionCall& call, const TokensSource& source, Executor& executor);
  absl::Status RunLearned(const AttentionCall& call, const TokensSource& source,
                          Executor& executor);
  absl::Status RunProjected(const AttentionCall& call, const ProjectedSource& source,
                            Executor& executor);
  absl::Status RunWeighted(const AttentionCall& call, const WeightedSource& source,
                           Executor& executor);
  absl::Status RunPartials(const AttentionCall& call, const PartialsSource& source,
                           Executor& executor);
  // `projected` holds the q_len queries of `call` alone, turned, and what the call does not need is
  // null.
  absl::Status Attend(const AttentionCall& call, const ProjectedSource& projected,
                      const MutableBatchView& output, Executor& executor);
  absl::StatusOr<std::shared_ptr<const AttentionOp>> OpFor(const AttentionCall& call);

  PackedLayers& layers_;
  Projector projector_;
  OpCache<AttentionOp> attention_ops_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_CALL_RUNNER_H_
