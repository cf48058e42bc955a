#ifndef ATTENTION_SERVER_ENGINE_EXTRA_KEYS_H_
#define ATTENTION_SERVER_ENGINE_EXTRA_KEYS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "server/models/layer_model.h"

namespace attention::engine {

// The sequences of a call with the keys and values that its layer adds itself behind their own
// (PyTorch's bias_k, bias_v and add_zero_attn). Every query sees these; so what hides the others,
// causality, windows, lengths and the caller's mask, is written out as one float mask a sequence.
class SequencesWithExtraKeys {
 public:
  // kv_len of each of `sequences` counts the extra keys already; key and value do not have them,
  // and no past. `model` must outlive this. No ALiBi.
  SequencesWithExtraKeys(const AttentionModel& model, const AttentionSettings& settings,
                         std::vector<AttentionSequence> sequences);

  const AttentionSettings& settings() const { return settings_; }
  absl::Span<const AttentionSequence> sequences() const { return sequences_; }

 private:
  AttentionSettings settings_;
  std::vector<AttentionSequence> sequences_;
  std::vector<std::vector<float>> masks_;
};

// Bytes that the masks take, and their list. A double, which does not overflow.
double ExtraKeysBytes(absl::Span<const AttentionSequence> sequences, int64_t extra_keys,
                      int64_t num_heads);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_EXTRA_KEYS_H_
