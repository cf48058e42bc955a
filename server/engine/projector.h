#ifndef ATTENTION_SERVER_ENGINE_PROJECTOR_H_
#define ATTENTION_SERVER_ENGINE_PROJECTOR_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/executor.h"
#include "kernels/linear_op.h"
#include "server/engine/attention_call.h"
#include "server/engine/op_cache.h"

namespace attention::engine {

// The rows of each sequence among the queries, and among the keys of a call without a past.
std::vector<RowRun> QueryRows(const AttentionCall& call);
std::vector<RowRun> KeyRows(const AttentionCall& call);

// The learned projections of calls. Keeps the operators that it made. Thread-safe.
class Projector {
 public:
  Projector();

  // y = x weight + bias for the rows of each sequence. Fails as LinearOp::Create and Run.
  absl::Status Run(ComputeType compute_type, const Projection& projection, const NumbersView& x,
                   absl::Span<const RowRun> sequences, float* y, Executor& executor);

  // Bytes that Run takes for `call` on `threads` threads: as much as the projection that takes
  // most, since they run one after the other. Fails as LinearOp::Create.
  absl::StatusOr<double> WorkingBytes(const AttentionCall& call, int threads);

 private:
  absl::StatusOr<std::shared_ptr<const LinearOp>> OpFor(ComputeType compute_type,
                                                        const Projection& projection,
                                                        int64_t row_tile);

  OpCache<LinearOp> ops_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_PROJECTOR_H_
