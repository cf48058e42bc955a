#ifndef ATTENTION_SERVER_ENGINE_PROJECTOR_H_
#define ATTENTION_SERVER_ENGINE_PROJECTOR_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/products/linear_op.h"
#include "kernels/threads/executor.h"
#include "server/engine/attention_call.h"
#include "server/engine/op_cache.h"

namespace attention::engine {

// The learned projections of calls. Keeps the operators that it made. Thread-safe.
class Projector {
 public:
  // y = x weight + bias.
  struct Work {
    const Linear* projection = nullptr;
    NumbersView x;  // [rows, in]
    int64_t rows = 0;
    float* y = nullptr;  // [rows, out]
  };

  // Does all of `works` at once. Fails as LinearOp::Create and Run.
  absl::Status Run(ComputeType compute_type, absl::Span<const Work> works, Executor& executor);

  // What Run takes for these, beside their results. Of the rows of `works` only type and address
  // count: works with the same address read the same rows. Fails as LinearOp::Create.
  absl::StatusOr<WorkingMemory> Memory(ComputeType compute_type, absl::Span<const Work> works);

 private:
  absl::StatusOr<std::shared_ptr<const LinearOp>> OpFor(ComputeType compute_type, int64_t in);

  OpCache<LinearOp> ops_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_PROJECTOR_H_
