#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/models/read_model.h"

namespace attention::engine {
namespace {

// NAME_proj [in, out] and NAME_bias [out].
Linear ReadPlain(TensorReader& tensors, absl::string_view name, int64_t in, int64_t out) {
  const VectorTable table = tensors.Table(absl::StrCat(name, "_proj"), in, out);
  return {.weight = {.data = table.data, .type = table.type, .in = table.count, .out = table.width},
          .bias = tensors.VectorIfAny(absl::StrCat(name, "_bias"), table.width)};
}

// Sets the width of one head where `heads` of them make up `width`.
void DivideInto(int64_t heads, int64_t width, absl::string_view name, TensorReader& tensors,
                int64_t& head_dim) {
  if (width % heads != 0) {
    tensors.Fail(
        absl::StrCat("\"", name, "\" is ", width, " wide; want a multiple of ", heads, " heads"));
  }
  head_dim = std::max<int64_t>(1, width / heads);
}

AttentionModel ReadOwn(const LayerConfig& config, TensorReader& tensors) {
  AttentionModel model;
  model.num_heads = config.num_heads;
  model.num_kv_heads = config.num_kv_heads;
  Projections& p = model.projections;
  p.q = ReadPlain(tensors, "q", -1, -1);
  model.d_model = p.q.weight.in;
  DivideInto(model.num_heads, p.q.weight.out, "q_proj", tensors, model.head_dim);
  p.k = ReadPlain(tensors, "k", -1, model.num_kv_heads * model.head_dim);
  model.d_context = p.k.weight.in;
  p.v = ReadPlain(tensors, "v", model.d_context, -1);
  DivideInto(model.num_kv_heads, p.v.weight.out, "v_proj", tensors, model.v_head_dim);
  if (tensors.Has("o_proj")) {
    p.o = ReadPlain(tensors, "o", model.num_heads * model.v_head_dim, -1);
  }
  return model;
}

// bias_k and bias_v [1, 1, d_model], one more key and value, and then one of zeros.
void ReadExtraKeys(const LayerConfig& config, TensorReader& tensors, FloatVectors& vectors,
                   AttentionModel& model) {
  const int64_t d = model.d_model;
  std::vector<float> keys, values;
  if (tensors.Has("bias_k") || tensors.Has("bias_v")) {
    const float* const key = tensors.Vector("bias_k", d);
    const float* const value = tensors.Vector("bias_v", d);
    if (!tensors.status().ok()) return;
    keys.assign(key, key + d);
    values.assign(value, value + d);
    ++model.extra_keys;
  }
  if (config.add_zero_attn) ++model.extra_keys;
  if (model.extra_keys == 0) return;
  keys.resize(model.extra_keys * d);
  values.resize(model.extra_keys * d);
  model.extra_key = vectors.emplace_back(std::move(keys)).data();
  model.extra_value = vectors.emplace_back(std::move(values)).data();
}

AttentionModel ReadTorch(const LayerConfig& config, TensorReader& tensors, FloatVectors& vectors) {
  AttentionModel model;
  model.num_heads = model.num_kv_heads = config.num_heads;
  Projections& p = model.projections;
  const VectorTable out = tensors.Table("out_proj.weight", -1, -1);
  const int64_t d = model.d_model = out.width;
  DivideInto(model.num_heads, d, "out_proj.weight", tensors, model.head_dim);
  model.v_head_dim = model.head_dim;
  // Made with bias=False neither is there, else both are.
  const bool has_bias = tensors.Has("in_proj_bias") || tensors.Has("out_proj.bias");
  p.o = {.weight = Transposed(out),
         .bias = has_bias ? tensors.Vector("out_proj.bias", d) : nullptr};
  if (out.count != d) {
    tensors.Fail(
        absl::StrCat("\"out_proj.weight\" has shape [", out.count, ", ", d, "]; want a square"));
  }
  if (tensors.Has("in_proj_weight")) {
    const VectorTable packed = tensors.Table("in_proj_weight", 3 * d, d);
    p.q.weight = Transposed(RowsOf(packed, 0, d));
    p.k.weight = Transposed(RowsOf(packed, d, d));
    p.v.weight = Transposed(RowsOf(packed, 2 * d, d));
  } else {  // kdim or vdim is another than d_model
    p.q.weight = Transposed(tensors.Table("q_proj_weight", d, d));
    p.k.weight = Transposed(tensors.Table("k_proj_weight", d, -1));
    // Keys and values come from the same tokens here, so kdim and vdim are one.
    p.v.weight = Transposed(tensors.Table("v_proj_weight", d, p.k.weight.in));
  }
  model.d_context = p.k.weight.in;
  if (const float* const bias = has_bias ? tensors.Vector("in_proj_bias", 3 * d) : nullptr;
      bias != nullptr) {
    p.q.bias = bias;
    p.k.bias = bias + d;
    p.v.bias = bias + 2 * d;
  }
  ReadExtraKeys(config, tensors, vectors, model);
  return model;
}

}  // namespace

AttentionModel ReadAttention(const LayerConfig& config, TensorReader& tensors,
                             FloatVectors& vectors) {
  return config.format == LayerFormat::kAttention ? ReadOwn(config, tensors)
                                                  : ReadTorch(config, tensors, vectors);
}

}  // namespace attention::engine
