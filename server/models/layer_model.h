#ifndef ATTENTION_SERVER_MODELS_LAYER_MODEL_H_
#define ATTENTION_SERVER_MODELS_LAYER_MODEL_H_

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "kernels/attention/rotary.h"
#include "kernels/encoder/embedding.h"
#include "kernels/encoder/encoder.h"
#include "kernels/encoder/layer_norm.h"
#include "server/models/projections.h"

// What a stored layer computes, whatever format it was stored in. Owns no memory.
namespace attention::engine {

// One attention layer.
struct AttentionModel {
  int64_t d_model = 0;    // width of the tokens
  int64_t d_context = 0;  // width of the tokens attended to
  int64_t num_heads = 1;
  int64_t num_kv_heads = 1;
  int64_t head_dim = 1;
  int64_t v_head_dim = 1;
  Projections projections;
  // Keys and values behind those of the context, which every query sees whatever the mask:
  // PyTorch's bias_k and bias_v, then a zero where it adds that.
  int64_t extra_keys = 0;
  const float* extra_key = nullptr;    // [extra_keys, num_kv_heads * head_dim]
  const float* extra_value = nullptr;  // [extra_keys, num_kv_heads * v_head_dim]
};

// An encoder: embedding (if there is one), layers, final normalisation (if there is one).
struct EncoderModel {
  EncoderShape shape;
  Embedding embedding;
  // Token i of a sequence is at position first_position + i in embedding.positions.
  int64_t first_position = 0;
  // RoBERTa's rule: a token with this id stands at position padding_id, and the others are counted
  // without it.
  std::optional<int64_t> padding_id;
  std::optional<RotarySettings> rotary;
  int64_t max_len = 0;  // tokens of a sequence at most; 0: no bound
  std::vector<EncoderLayer> layers;
  std::optional<LayerNorm> final_norm;
};

using LayerModel = std::variant<AttentionModel, EncoderModel>;

// Calls visit(linear) for the linear layers of a LayerModel, const or not, in one fixed order.
template <typename Model, typename Visit>
void ForEachLinear(Model& model, Visit visit) {
  if (auto* const attention = std::get_if<AttentionModel>(&model)) {
    auto& p = attention->projections;
    for (auto* const linear : {&p.q, &p.k, &p.v}) visit(*linear);
    if (p.o.has_value()) visit(*p.o);
    return;
  }
  for (auto& layer : std::get<EncoderModel>(model).layers) {
    for (auto* const linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.up, &layer.down}) {
      visit(*linear);
    }
  }
}

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_LAYER_MODEL_H_
