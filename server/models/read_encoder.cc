#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/json/quoted.h"
#include "server/models/read_model.h"

namespace attention::engine {
namespace {

// Makes an encoder of the tensors of its family. What is wrong is in tensors.status().
class EncoderReader {
 public:
  EncoderReader(const LayerConfig& config, TensorReader& tensors, FloatVectors& vectors)
      : config_(config), tensors_(tensors), vectors_(vectors) {}

  EncoderModel Read();

 private:
  // None where there is no gamma; without a beta zeros stand for it.
  std::optional<LayerNorm> NormOf(const TensorsByRole& from, Role gamma, Role beta);
  EncoderLayer ReadLayer(int64_t layer);
  void SetPositions(EncoderModel& model);
  void SetLearnedPositions(EncoderModel& model);
  void SetSinusoidalPositions(EncoderModel& model);
  void SetRotaryPositions(EncoderModel& model);

  const LayerConfig& config_;
  TensorReader& tensors_;
  FloatVectors& vectors_;
};

// Reads the layers first, so that an embedding of another width is what the error names.
EncoderModel EncoderReader::Read() {
  EncoderModel model;
  const int64_t count = tensors_.CountLayers();
  for (int64_t i = 0; i < count && tensors_.status().ok(); ++i) {
    model.layers.push_back(ReadLayer(i));
  }
  tensors_.CheckHeads();
  const TensorsByRole once = tensors_.ReadOnce();
  if (!tensors_.status().ok()) return model;
  model.shape = {.d_model = tensors_.SizeOf(Size::kDModel),
                 .num_heads = config_.num_heads,
                 .ffn_dim = tensors_.SizeOf(Size::kFfnDim),
                 .block = config_.block};
  model.embedding = {.tokens = once.Table(Role::kTokenTable),
                     .positions = once.Table(Role::kPositionTable),
                     .types = once.Table(Role::kTypeTable),
                     .norm = NormOf(once, Role::kEmbeddingGamma, Role::kEmbeddingBeta)};
  model.final_norm = NormOf(once, Role::kFinalGamma, Role::kFinalBeta);
  SetPositions(model);
  return model;
}

std::optional<LayerNorm> EncoderReader::NormOf(const TensorsByRole& from, Role gamma, Role beta) {
  if (from.Vector(gamma) == nullptr) return std::nullopt;
  LayerNorm norm = {.gamma = from.Vector(gamma),
                    .beta = from.Vector(beta),
                    .epsilon = static_cast<float>(config_.layer_norm_eps)};
  if (norm.beta == nullptr) {
    norm.beta = vectors_.emplace_back(tensors_.SizeOf(Size::kDModel)).data();
  }
  return norm;
}

EncoderLayer EncoderReader::ReadLayer(int64_t layer) {
  const TensorsByRole from = tensors_.ReadLayer(layer);
  if (!tensors_.status().ok()) return {};
  return {.q = from.Query(),
          .k = from.Key(),
          .v = from.Value(),
          .o = from.LinearOf(Role::kOutputWeight, Role::kOutputBias),
          .up = from.LinearOf(Role::kUpWeight, Role::kUpBias),
          .down = from.LinearOf(Role::kDownWeight, Role::kDownBias),
          .attention_norm = *NormOf(from, Role::kAttentionGamma, Role::kAttentionBeta),
          .ffn_norm = *NormOf(from, Role::kFfnGamma, Role::kFfnBeta)};
}

void EncoderReader::SetPositions(EncoderModel& model) {
  model.max_len = config_.max_len;
  const bool has_table = model.embedding.positions.data != nullptr;
  switch (config_.positions.value_or(has_table ? PositionKind::kLearned : PositionKind::kNone)) {
    case PositionKind::kNone:
      break;
    case PositionKind::kLearned:
      SetLearnedPositions(model);
      break;
    case PositionKind::kSinusoidal:
      SetSinusoidalPositions(model);
      break;
    case PositionKind::kRotary:
      SetRotaryPositions(model);
      break;
  }
}

void EncoderReader::SetLearnedPositions(EncoderModel& model) {
  if (config_.family->skips_padding) {
    model.padding_id = config_.padding_id;
    model.first_position = config_.padding_id + 1;
  }
  const int64_t count = model.embedding.positions.count;
  const int64_t most = count - model.first_position;
  if (most < 1) {
    tensors_.Fail(absl::StrCat(Quoted(tensors_.NameOf(Role::kPositionTable)), " has ", count,
                               " rows; want more than ", model.first_position,
                               " = pad_token_id + 1"));
  }
  model.max_len = model.max_len == 0 ? most : std::min(model.max_len, most);
}

void EncoderReader::SetSinusoidalPositions(EncoderModel& model) {
  constexpr int64_t kMostNumbers = int64_t{1} << 24;
  const int64_t d = model.shape.d_model, most = kMostNumbers / model.max_len;
  if (d > most) {
    return tensors_.Fail(absl::StrCat("rows are ", d, " wide; want at most ", most,
                                      " with max_len ", model.max_len, " of sinusoidal positions"));
  }
  std::vector<float>& table = vectors_.emplace_back(model.max_len * d);
  SinusoidalPositions(model.max_len, d, table.data());
  model.embedding.positions = {table.data(), DataType::kFloat32, model.max_len, d};
}

void EncoderReader::SetRotaryPositions(EncoderModel& model) {
  const int64_t head_dim = model.shape.head_dim();
  if (head_dim % 2 != 0) {
    tensors_.Fail(absl::StrCat("rows make heads of ", head_dim,
                               "; want an even width with rotary positions"));
  }
  model.rotary = {
      .pairing = config_.rotary_pairing, .rotary_dim = head_dim, .base = config_.rotary_base};
}

}  // namespace

EncoderModel ReadEncoder(const LayerConfig& config, TensorReader& tensors, FloatVectors& vectors) {
  return EncoderReader(config, tensors, vectors).Read();
}

}  // namespace attention::engine
