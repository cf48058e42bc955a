#ifndef ATTENTION_SERVER_ENGINE_ENCODE_RUNNER_H_
#define ATTENTION_SERVER_ENGINE_ENCODE_RUNNER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/encoder_op.h"
#include "kernels/executor.h"
#include "server/engine/encode_call.h"
#include "server/engine/layers/packed_layers.h"
#include "server/engine/op_cache.h"

namespace attention::engine {

// What an Encode call computes: embed, encode, pool. Keeps the operators that it made. Thread-safe.
class EncodeRunner {
 public:
  // `layers`, which must outlive this, packs the weights.
  explicit EncodeRunner(PackedLayers& layers) : layers_(layers) {}

  // As CallRunner::WorkingBytes.
  absl::StatusOr<double> WorkingBytes(const EncodeCall& call, int threads);

  // Computes what is wanted. Fails as EncoderOp::Run and PackedLayers::Get.
  absl::Status Run(const EncodeCall& call, Executor& executor);

 private:
  absl::StatusOr<std::shared_ptr<const EncoderOp>> OpFor(const EncodeCall& call);

  PackedLayers& layers_;
  OpCache<EncoderOp> ops_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ENCODE_RUNNER_H_
