#ifndef ATTENTION_SERVER_ENGINE_ENCODE_RUNNER_H_
#define ATTENTION_SERVER_ENGINE_ENCODE_RUNNER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/encoder/encoder_op.h"
#include "kernels/threads/executor.h"
#include "server/engine/encode_call.h"
#include "server/engine/op_cache.h"
#include "server/models/packed_layers.h"

namespace attention::engine {

// What Encode calls compute: embed, encode, pool. Keeps the operators that it made. Thread-safe.
class EncodeRunner {
 public:
  // As CallRunner::WorkingBytes, with 2.4 times the peak as the bound for all Encode calls: those
  // with probes always run alone, but the attention that these look at is counted once more.
  absl::StatusOr<double> WorkingBytes(const EncodeCall& call, int threads);

  // Computes what is wanted of each of `calls`: one call, or several with one BatchKey, which have
  // the same bits either way. `packed` is their layer. Fails as EncoderOp::Run.
  absl::Status Run(absl::Span<const EncodeCall* const> calls, const PackedLayer& packed,
                   Executor& executor);

 private:
  absl::StatusOr<std::shared_ptr<const EncoderOp>> OpFor(const EncodeCall& call);

  OpCache<EncoderOp> ops_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ENCODE_RUNNER_H_
