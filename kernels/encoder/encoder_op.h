#ifndef ATTENTION_KERNELS_ENCODER_ENCODER_OP_H_
#define ATTENTION_KERNELS_ENCODER_ENCODER_OP_H_

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_op.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/attention/rotary.h"
#include "kernels/encoder/encoder.h"
#include "kernels/products/linear_op.h"
#include "kernels/threads/executor.h"

namespace attention {

// A batch of sequences on its way through a stack of layers, ragged: the tokens of one sequence
// after those of the other, nothing padded.
struct EncoderBatch {
  // The rows of a result of one layer that is wanted beside the hidden states.
  struct Probe {
    int64_t layer = 0;
    // Dense, float32, sequence by sequence; null: not wanted.
    float* hidden_states = nullptr;  // [sum of lens, d_model], after the layer
    int64_t first_head = 0;          // for the two below
    int64_t num_heads = 0;
    float* attention_scores = nullptr;   // of each sequence [num_heads, len, len]
    float* attention_weights = nullptr;  // the same
  };

  absl::Span<const int64_t> lens;  // tokens of each sequence, at least 0
  float* x = nullptr;              // [sum of lens, d_model]: embeddings, then hidden states
  // Causality, windows, ALiBi and score_stage; heads and scale are the encoder's to set.
  AttentionSettings settings;
  absl::Span<const MaskView> masks;      // one a sequence, or none
  std::optional<RotarySettings> rotary;  // turns queries and keys, token i by position i
  absl::Span<const Probe> probes;
};

// A stack of encoder layers of one shape (encoder.h), for any number of layers and any lengths. A
// sequence's results have the same bits in any batch, on any number of threads, and whichever
// others are asked for. Safe to run from many threads.
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

  // What Run takes for these sequences on `threads` threads, or adds to a run that has others too.
  // Of `batch` x, masks and where probes go are not looked at, but which results of these are
  // wanted.
  WorkingMemory Memory(const EncoderBatch& batch, int threads,
                       AttentionOp::Company company = AttentionOp::Company::kNone) const;

  // Puts batch.x through `layers`, then through `final_norm` if it is not null. Fails as
  // Executor::ParallelFor.
  absl::Status Run(absl::Span<const EncoderLayer> layers, const LayerNorm* final_norm,
                   const EncoderBatch& batch, Executor& executor) const;

 private:
  class Computation;
  struct Products {
    LinearOp project;  // q, k and v, to operands
    LinearOp add;      // o, added to x
    LinearOp up;       // with activation, to operands
    LinearOp down;     // added to x
  };
  EncoderOp(const Config& config, Products products, AttentionOp attention);

  Config config_;
  Products products_;
  AttentionOp attention_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_ENCODER_OP_H_
