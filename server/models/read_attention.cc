// Makes an attention layer of the tensors that a family's table found (see read_model.h).
#include <utility>
#include <vector>

#include "server/models/read_model.h"

namespace attention::engine {
namespace {

// A key and a value that the file has, and then one of zeros.
void SetExtraKeys(const TensorsByRole& tensors, bool add_zero, FloatVectors& vectors,
                  AttentionModel& model) {
  std::vector<float> keys, values;
  if (const float* const key = tensors.Vector(Role::kExtraKey); key != nullptr) {
    const float* const value = tensors.Vector(Role::kExtraValue);
    keys.assign(key, key + model.num_kv_heads * model.head_dim);
    values.assign(value, value + model.num_kv_heads * model.v_head_dim);
    ++model.extra_keys;
  }
  if (add_zero) ++model.extra_keys;
  if (model.extra_keys == 0) return;
  keys.resize(model.extra_keys * model.num_kv_heads * model.head_dim);
  values.resize(model.extra_keys * model.num_kv_heads * model.v_head_dim);
  model.extra_key = vectors.emplace_back(std::move(keys)).data();
  model.extra_value = vectors.emplace_back(std::move(values)).data();
}

}  // namespace

AttentionModel ReadAttention(const LayerConfig& config, TensorReader& tensors,
                             FloatVectors& vectors) {
  const TensorsByRole layer = tensors.ReadOnce();
  tensors.CheckHeads();
  AttentionModel model;
  if (!tensors.status().ok()) return model;
  Projections& p = model.projections;
  p.q = layer.Query();
  p.k = layer.Key();
  p.v = layer.Value();
  if (layer.Table(Role::kOutputWeight).data != nullptr) {
    p.o = layer.LinearOf(Role::kOutputWeight, Role::kOutputBias);
  }
  model.d_model = p.q.weight.in;
  model.d_context = p.k.weight.in;
  model.num_heads = config.num_heads;
  model.num_kv_heads = config.num_kv_heads;
  model.head_dim = p.k.weight.out / model.num_kv_heads;
  model.v_head_dim = p.v.weight.out / model.num_kv_heads;
  SetExtraKeys(layer, config.add_zero_attn, vectors, model);
  return model;
}

}  // namespace attention::engine
