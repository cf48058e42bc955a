#ifndef ATTENTION_SERVER_ENGINE_STEPS_EXTRA_KEYS_H_
#define ATTENTION_SERVER_ENGINE_STEPS_EXTRA_KEYS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "server/models/layer_model.h"

// The keys and values that a layer adds itself behind those of a sequence (PyTorch's bias_k, bias_v
// and add_zero_attn). Every query sees these; so what hides the others, causality, windows, lengths
// and the caller's mask, is written out as one float mask a sequence. Thread-safe.
namespace attention::engine {

// Floats of the masks of these sequences.
int64_t ExtraKeysMaskFloats(absl::Span<const AttentionSequence> sequences, int64_t num_heads);

// Gives `sequences` the extra keys of `model`: kv_len of each counts them already, key and value do
// not have them, and no past. `masks` has room for ExtraKeysMaskFloats; both it and `model` must
// outlive the sequences' use. Returns `settings`, which has no ALiBi, without what the masks say.
AttentionSettings AppendExtraKeys(const AttentionModel& model, const AttentionSettings& settings,
                                  absl::Span<AttentionSequence> sequences, float* masks);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_STEPS_EXTRA_KEYS_H_
