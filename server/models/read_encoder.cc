#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/models/read_model.h"

namespace attention::engine {
namespace {

// The layers NAME0, NAME1 ... that `tensors` has, told by the name of one tensor in each; at least
// 1.
int64_t CountLayers(const TensorReader& tensors, absl::string_view name, absl::string_view tensor) {
  int64_t count = 0;
  while (tensors.Has(absl::StrCat(name, count, ".", tensor))) ++count;
  return std::max<int64_t>(1, count);
}

void CheckHeads(const EncoderShape& shape, TensorReader& tensors) {
  if (shape.d_model % shape.num_heads == 0) return;
  tensors.Fail(absl::StrCat("rows are ", shape.d_model,
                            " wide; want a multiple of num_heads = ", shape.num_heads));
}

EncoderLayer ReadTorchLayer(const EncoderShape& shape, float epsilon, const std::string& name,
                            TensorReader& tensors) {
  const int64_t d = shape.d_model;
  const std::string attention = absl::StrCat(name, "self_attn.");
  const VectorTable packed = tensors.Table(absl::StrCat(attention, "in_proj_weight"), 3 * d, d);
  // Made with bias=False none of them is there, else all are.
  const bool has_bias = tensors.Has(absl::StrCat(name, "linear1.bias"));
  const float* const bias =
      has_bias ? tensors.Vector(absl::StrCat(attention, "in_proj_bias"), 3 * d) : nullptr;
  const auto part = [&](int64_t i) {
    return Linear{.weight = Transposed(RowsOf(packed, i * d, d)),
                  .bias = bias == nullptr ? nullptr : bias + i * d};
  };
  EncoderLayer layer;
  layer.q = part(0);
  layer.k = part(1);
  layer.v = part(2);
  layer.o = tensors.LinearOf(absl::StrCat(attention, "out_proj"), d, d, has_bias);
  layer.up = tensors.LinearOf(absl::StrCat(name, "linear1"), d, shape.ffn_dim, has_bias);
  layer.down = tensors.LinearOf(absl::StrCat(name, "linear2"), shape.ffn_dim, d, has_bias);
  layer.attention_norm = tensors.NormOf(absl::StrCat(name, "norm1"), d, epsilon, has_bias);
  layer.ffn_norm = tensors.NormOf(absl::StrCat(name, "norm2"), d, epsilon, has_bias);
  return layer;
}

// embedding.weight and position_embedding.weight, as far as there are any, and positions as the
// config says.
void ReadTorchEmbedding(const LayerConfig& config, TensorReader& tensors, FloatVectors& vectors,
                        EncoderModel& model) {
  constexpr char kPositionTable[] = "position_embedding.weight";
  const int64_t d = model.shape.d_model;
  model.max_len = config.max_len;
  if (tensors.Has("embedding.weight")) {
    model.embedding.tokens = tensors.Table("embedding.weight", -1, d);
  }
  const bool has_table = tensors.Has(kPositionTable);
  const PositionKind kind =
      config.positions.value_or(has_table ? PositionKind::kLearned : PositionKind::kNone);
  if (kind == PositionKind::kLearned) {
    model.embedding.positions = tensors.Table(kPositionTable, -1, d);
    const int64_t count = model.embedding.positions.count;
    model.max_len = model.max_len == 0 ? count : std::min(model.max_len, count);
  } else if (kind == PositionKind::kSinusoidal && tensors.status().ok()) {
    constexpr int64_t kMostNumbers = int64_t{1} << 24;
    if (d > kMostNumbers / model.max_len) {
      return tensors.Fail(absl::StrCat("rows are ", d, " wide; want at most ",
                                       kMostNumbers / model.max_len, " with max_len ",
                                       model.max_len, " of sinusoidal positions"));
    }
    std::vector<float>& table = vectors.emplace_back(model.max_len * d);
    SinusoidalPositions(model.max_len, d, table.data());
    model.embedding.positions = {table.data(), DataType::kFloat32, model.max_len, d};
  } else if (kind == PositionKind::kRotary) {
    model.rotary = {.pairing = config.rotary_pairing,
                    .rotary_dim = model.shape.head_dim(),
                    .base = config.rotary_base};
    if (model.rotary->rotary_dim % 2 != 0) {
      tensors.Fail(absl::StrCat("rows make heads of ", model.rotary->rotary_dim,
                                "; want an even width with rotary positions"));
    }
  }
}

// The old and the new file of one model may or may not have the name of the model before all.
std::string BertPrefix(const TensorReader& tensors, absl::string_view embedding) {
  for (const char* const prefix : {"", "bert.", "roberta.", "model."}) {
    if (tensors.Has(absl::StrCat(prefix, embedding))) return prefix;
  }
  return "";
}

EncoderLayer ReadBertLayer(const EncoderShape& shape, float epsilon, const std::string& name,
                           TensorReader& tensors) {
  const int64_t d = shape.d_model;
  const std::string self = absl::StrCat(name, "attention.self.");
  EncoderLayer layer;
  layer.q = tensors.LinearOf(absl::StrCat(self, "query"), d, d, true);
  layer.k = tensors.LinearOf(absl::StrCat(self, "key"), d, d, true);
  layer.v = tensors.LinearOf(absl::StrCat(self, "value"), d, d, true);
  layer.o = tensors.LinearOf(absl::StrCat(name, "attention.output.dense"), d, d, true);
  layer.attention_norm =
      tensors.NormOf(absl::StrCat(name, "attention.output.LayerNorm"), d, epsilon, true);
  layer.up = tensors.LinearOf(absl::StrCat(name, "intermediate.dense"), d, shape.ffn_dim, true);
  layer.down = tensors.LinearOf(absl::StrCat(name, "output.dense"), shape.ffn_dim, d, true);
  layer.ffn_norm = tensors.NormOf(absl::StrCat(name, "output.LayerNorm"), d, epsilon, true);
  return layer;
}

}  // namespace

EncoderModel ReadTorchEncoder(const LayerConfig& config, TensorReader& tensors,
                              FloatVectors& vectors) {
  const bool one = config.format == LayerFormat::kTorchEncoderLayer;
  const std::string first = one ? "" : "layers.0.";
  EncoderModel model;
  const VectorTable up = tensors.Table(absl::StrCat(first, "linear1.weight"), -1, -1);
  model.shape = {
      .d_model = up.width,
      .num_heads = config.num_heads,
      .ffn_dim = up.count,
      .block = {.norm_position = config.norm_first ? NormPosition::kBefore : NormPosition::kBehind,
                .activation = config.activation}};
  CheckHeads(model.shape, tensors);
  const int64_t count = one ? 1 : CountLayers(tensors, "layers.", "linear1.weight");
  for (int64_t i = 0; i < count && tensors.status().ok(); ++i) {
    const std::string name = one ? "" : absl::StrCat("layers.", i, ".");
    model.layers.push_back(ReadTorchLayer(model.shape, config.layer_norm_eps, name, tensors));
  }
  if (!one && tensors.Has("norm.weight")) {
    model.final_norm = tensors.NormOf("norm", model.shape.d_model, config.layer_norm_eps,
                                      tensors.Has("norm.bias"));
  }
  ReadTorchEmbedding(config, tensors, vectors, model);
  return model;
}

EncoderModel ReadBert(const LayerConfig& config, TensorReader& tensors) {
  const std::string prefix = BertPrefix(tensors, "embeddings.word_embeddings.weight");
  const auto named = [&](absl::string_view name) { return absl::StrCat(prefix, name); };
  EncoderModel model;
  Embedding& embedding = model.embedding;
  embedding.tokens =
      tensors.Table(named("embeddings.word_embeddings.weight"), -1, config.d_model.value_or(-1));
  const int64_t d = embedding.tokens.width;
  embedding.positions = tensors.Table(named("embeddings.position_embeddings.weight"), -1, d);
  embedding.types = tensors.Table(named("embeddings.token_type_embeddings.weight"), -1, d);
  embedding.norm = tensors.NormOf(named("embeddings.LayerNorm"), d, config.layer_norm_eps, true);
  if (config.format == LayerFormat::kRoberta) {
    model.padding_id = config.padding_id;
    model.first_position = config.padding_id + 1;
  }
  model.max_len = embedding.positions.count - model.first_position;
  if (model.max_len < 1) {
    tensors.Fail(absl::StrCat("\"embeddings.position_embeddings.weight\" has ",
                              embedding.positions.count, " rows; want more than ",
                              model.first_position, " = pad_token_id + 1"));
  }
  const std::string layers = named("encoder.layer.");
  const VectorTable up = tensors.Table(absl::StrCat(layers, "0.intermediate.dense.weight"),
                                       config.ffn_dim.value_or(-1), d);
  model.shape = {
      .d_model = d,
      .num_heads = config.num_heads,
      .ffn_dim = up.count,
      .block = {.norm_position = NormPosition::kBehind, .activation = config.activation}};
  CheckHeads(model.shape, tensors);
  const int64_t count = config.num_layers.value_or(1);
  for (int64_t i = 0; i < count && tensors.status().ok(); ++i) {
    model.layers.push_back(
        ReadBertLayer(model.shape, config.layer_norm_eps, absl::StrCat(layers, i, "."), tensors));
  }
  return model;
}

absl::StatusOr<LayerModel> ReadModel(const Safetensors& file, const LayerConfig& config,
                                     FloatVectors& vectors) {
  TensorReader tensors(file, vectors);
  LayerModel model;
  switch (config.format) {
    case LayerFormat::kAttention:
    case LayerFormat::kTorchMultiheadAttention:
      model = ReadAttention(config, tensors, vectors);
      tensors.RefuseOthers();
      break;
    case LayerFormat::kTorchEncoderLayer:
    case LayerFormat::kTorchEncoder:
      model = ReadTorchEncoder(config, tensors, vectors);
      tensors.RefuseOthers();
      break;
    case LayerFormat::kBert:
    case LayerFormat::kRoberta:
      model = ReadBert(config, tensors);
      break;
  }
  if (!tensors.status().ok()) return tensors.status();
  return model;
}

}  // namespace attention::engine
