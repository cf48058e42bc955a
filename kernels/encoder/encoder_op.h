#ifndef ATTENTION_KERNELS_ENCODER_ENCODER_OP_H_
#define ATTENTION_KERNELS_ENCODER_ENCODER_OP_H_

#include <compare>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_op.h"
#include "kernels/encoder/encoder.h"
#include "kernels/encoder/encoder_batch.h"
#include "kernels/encoder/layer_plan.h"
#include "kernels/threads/executor.h"

namespace attention {

// A stack of encoder layers of one shape (encoder.h), for any number of layers and any lengths. The
// results of a sequence have the same bits in any batch, on any number of threads, and whichever
// other results are asked for. Safe to run from many threads.
//
// kBfloat16: the operands of products are rounded to bfloat16; sums, residuals, normalisation and
// softmax are float32.
class EncoderOp {
 public:
  struct Config {
    EncoderShape shape;
    ComputeType compute_type = ComputeType::kFloat32;

    auto operator<=>(const Config&) const = default;
  };

  // Compiles the products. INVALID_ARGUMENT or INTERNAL as OnednnMatmul::Create.
  static absl::StatusOr<EncoderOp> Create(const Config& config);

  // The memory that Run needs for these sequences on `threads` threads, or what they add to a run
  // that has other sequences too. Of `batch`, x and the masks are not read; of the probes only
  // matters which results are wanted.
  WorkingMemory Memory(const EncoderBatch& batch, int threads,
                       AttentionOp::Company company = AttentionOp::Company::kNone) const;

  // Puts batch.x through `layers`, then through `final_norm` if it is not null. Fails as
  // Executor::ParallelFor.
  absl::Status Run(absl::Span<const EncoderLayer> layers, const LayerNorm* final_norm,
                   const EncoderBatch& batch, Executor& executor) const;

 private:
  EncoderOp(const Config& config, LayerOperators operators);
  OperandFormat format() const;

  Config config_;
  LayerOperators operators_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_ENCODER_OP_H_
