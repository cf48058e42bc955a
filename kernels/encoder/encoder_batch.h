#ifndef ATTENTION_KERNELS_ENCODER_ENCODER_BATCH_H_
#define ATTENTION_KERNELS_ENCODER_ENCODER_BATCH_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/attention/rotary.h"

namespace attention {

// A batch of sequences that passes through a stack of layers. It is ragged: the tokens of one
// sequence follow those of another, without padding.
struct EncoderBatch {
  // Results of one layer that are wanted beside the hidden states after the last layer.
  struct Probe {
    int64_t layer = 0;
    // Dense, float32, sequence by sequence; null if not wanted.
    float* hidden_states = nullptr;  // [sum of lens, d_model], after the layer
    int64_t first_head = 0;          // for the two results below
    int64_t num_heads = 0;
    float* attention_scores = nullptr;   // of each sequence [num_heads, len, len]
    float* attention_weights = nullptr;  // the same
  };

  absl::Span<const int64_t> lens;  // tokens of each sequence, at least 0
  float* x = nullptr;              // [sum of lens, d_model]: embeddings, then hidden states
  // Causality, windows, ALiBi and score_stage. The encoder sets the numbers of heads and the scale
  // itself.
  AttentionSettings settings;
  absl::Span<const MaskView> masks;      // one for each sequence, or empty
  std::optional<RotarySettings> rotary;  // rotates queries and keys; token i has position i
  absl::Span<const Probe> probes;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_ENCODER_BATCH_H_
