#ifndef ATTENTION_KERNELS_ENCODER_ENCODER_BATCH_H_
#define ATTENTION_KERNELS_ENCODER_ENCODER_BATCH_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/attention/rotary.h"

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

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_ENCODER_BATCH_H_
