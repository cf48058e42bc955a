#ifndef ATTENTION_SERVER_MODELS_FAMILIES_BERT_H_
#define ATTENTION_SERVER_MODELS_FAMILIES_BERT_H_

#include "server/models/family.h"

// Hugging Face's BertModel (Devlin et al. 2018), and RobertaModel and XLMRobertaModel (Liu et al.
// 2019; Conneau et al. 2019), which differ from it in where tokens stand.
namespace attention::engine::families {

inline constexpr const char* kBertNames[] = {"bert"};
inline constexpr const char* kRobertaNames[] = {"roberta", "xlm-roberta"};

inline constexpr MemberRow kBertMembers[] = {
    {"num_attention_heads", Setting::kNumHeads, /*is_required=*/true},
    {"num_hidden_layers", Setting::kNumLayers, /*is_required=*/true},
    {"hidden_size", Setting::kDModel},
    {"intermediate_size", Setting::kFfnDim},
    {"hidden_act", Setting::kHiddenAct},
    {"position_embedding_type", Setting::kPositionType},
    {"layer_norm_eps", Setting::kLayerNormEps},
    {"pad_token_id", Setting::kPaddingId},
    {"is_decoder", Setting::kIsDecoder},
};

inline constexpr LayerConfig kBertDefaults = {
    .block = {.norm_position = NormPosition::kBehind, .activation = Activation::kGelu},
    .layer_norm_eps = 1e-12,
    .positions = PositionKind::kLearned,
};

// A file of the model alone has no prefix, one of the model with a head for some task has.
inline constexpr const char* kBertPrefixes[] = {"", "bert.", "roberta.", "model."};

inline constexpr TensorRow kBertRows[] = {
    {"embeddings.word_embeddings.weight", kTokenTable, {kVocabulary, kDModel}},
    {"embeddings.position_embeddings.weight", kPositionTable, {kPlaces, kDModel}},
    {"embeddings.token_type_embeddings.weight", kTypeTable, {kTypes, kDModel}},
    {"embeddings.LayerNorm.weight", kEmbeddingGamma, {kDModel}},
    {"embeddings.LayerNorm.bias", kEmbeddingBeta, {kDModel}},
};

inline constexpr TensorRow kBertLayerRows[] = {
    {"attention.self.query.weight", kQueryWeight, {kDModel, kDModel}},
    {"attention.self.query.bias", kQueryBias, {kDModel}},
    {"attention.self.key.weight", kKeyWeight, {kDModel, kDModel}},
    {"attention.self.key.bias", kKeyBias, {kDModel}},
    {"attention.self.value.weight", kValueWeight, {kDModel, kDModel}},
    {"attention.self.value.bias", kValueBias, {kDModel}},
    {"attention.output.dense.weight", kOutputWeight, {kDModel, kDModel}},
    {"attention.output.dense.bias", kOutputBias, {kDModel}},
    {"attention.output.LayerNorm.weight", kAttentionGamma, {kDModel}},
    {"attention.output.LayerNorm.bias", kAttentionBeta, {kDModel}},
    {"intermediate.dense.weight", kUpWeight, {kFfnDim, kDModel}},
    {"intermediate.dense.bias", kUpBias, {kFfnDim}},
    {"output.dense.weight", kDownWeight, {kDModel, kFfnDim}},
    {"output.dense.bias", kDownBias, {kDModel}},
    {"output.LayerNorm.weight", kFfnGamma, {kDModel}},
    {"output.LayerNorm.bias", kFfnBeta, {kDModel}},
};

// As TensorFlow's checkpoints had them.
inline constexpr OldName kBertOldNames[] = {
    {"LayerNorm.weight", "LayerNorm.gamma"},
    {"LayerNorm.bias", "LayerNorm.beta"},
};

inline constexpr Family kBert = {
    .names = kBertNames,
    .config_kind = ConfigKind::kModelType,
    .members = kBertMembers,
    .defaults = kBertDefaults,
    .prefixes = kBertPrefixes,
    .rows = kBertRows,
    .layer_prefix = "encoder.layer.{layer}.",
    .layer_rows = kBertLayerRows,
    .old_names = kBertOldNames,
};

inline constexpr Family kRoberta = [] {
  Family family = kBert;
  family.names = kRobertaNames;
  family.skips_padding = true;
  return family;
}();

}  // namespace attention::engine::families

#endif  // ATTENTION_SERVER_MODELS_FAMILIES_BERT_H_
