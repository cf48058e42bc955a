#ifndef ATTENTION_SERVER_ENGINE_ENCODE_CALL_H_
#define ATTENTION_SERVER_ENGINE_ENCODE_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/attention/attention_problem.h"
#include "kernels/encoder/embedding.h"
#include "kernels/encoder/pooling.h"
#include "server/models/stored_layer.h"

// One call of a stored encoder as the engine runs it.
namespace attention::engine {

// A look into one layer; what is wanted of it, and where it goes.
struct EncodeProbe {
  int64_t layer = 0;
  int64_t first_head = 0;
  int64_t num_heads = 1;
  bool want_hidden_states = false;
  bool want_attention_scores = false;
  bool want_attention_weights = false;
  // Set when the call runs, where wanted; float32.
  float* hidden_states = nullptr;      // [sum of lens, d_model]
  float* attention_scores = nullptr;   // sequence by sequence [num_heads, len, len]
  float* attention_weights = nullptr;  // the same
};

// One batch of sequences for a stored encoder, ready to run: whoever makes one has checked that
// everything fits together. Owns none of the memory of `vectors` and `mask`.
struct EncodeCall {
  std::shared_ptr<const StoredLayer> layer;  // an EncoderModel
  std::vector<int64_t> lens;                 // of each sequence, at least 1
  std::vector<int64_t> ids;                  // [sum of lens], rows of the embedding table
  std::optional<VectorTable> vectors;        // in place of the model's embedding table
  std::vector<int64_t> positions;            // [sum of lens], or empty
  std::vector<int64_t> types;                // [sum of lens], or empty
  AttentionSettings settings;                // causality, windows, ALiBi and score_stage
  MaskView mask;                             // of the first sequence
  int64_t mask_batch_stride = 0;
  ComputeType compute_type = ComputeType::kFloat32;
  bool want_hidden_states = false;
  bool want_pooled = false;
  PoolingSettings pooling;
  std::vector<EncodeProbe> probes;
  // Set when the call runs, where wanted; float32.
  float* hidden_states = nullptr;  // [sum of lens, d_model]
  float* pooled = nullptr;         // [number of lens, d_model]

  const EncoderModel& model() const { return std::get<EncoderModel>(layer->model()); }
  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ENCODE_CALL_H_
