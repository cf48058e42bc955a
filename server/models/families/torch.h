#ifndef ATTENTION_SERVER_MODELS_FAMILIES_TORCH_H_
#define ATTENTION_SERVER_MODELS_FAMILIES_TORCH_H_

#include "server/models/family.h"

// The state_dict() of PyTorch's own modules. PyTorch keeps no config.json; ours has the arguments
// with which the module was made, by their names.
namespace attention::engine::families {

// torch.nn.MultiheadAttention. Keys and values come from the same tokens here, so kdim and vdim
// are one: d_context.
inline constexpr const char* kMultiheadAttentionNames[] = {"torch.nn.MultiheadAttention"};

inline constexpr MemberRow kMultiheadAttentionMembers[] = {
    {"num_heads", Setting::kNumHeads, /*is_required=*/true},
    {"add_zero_attn", Setting::kAddZeroAttn},
};

inline constexpr TensorRow kMultiheadAttentionRows[] = {
    {"out_proj.weight", kOutputWeight, {kDModel, kDModel}},
    {"out_proj.bias", kOutputBias, {kDModel}, kBiases},
    {"in_proj_weight", kQkvWeight, {3 * kDModel, kDModel}, kFused},
    // Made with a kdim or vdim.
    {"q_proj_weight", kQueryWeight, {kDModel, kDModel}, kSeparate},
    {"k_proj_weight", kKeyWeight, {kDModel, kDContext}, kSeparate},
    {"v_proj_weight", kValueWeight, {kDModel, kDContext}, kSeparate},
    {"in_proj_bias", kQkvBias, {3 * kDModel}, kBiases},
    {"bias_k", kExtraKey, {kDModel}, kExtraKeys},
    {"bias_v", kExtraValue, {kDModel}, kExtraKeys},
};

inline constexpr Family kMultiheadAttention = {
    .names = kMultiheadAttentionNames,
    .members = kMultiheadAttentionMembers,
    .model_kind = ModelKind::kAttention,
    .rows = kMultiheadAttentionRows,
};

// torch.nn.TransformerEncoderLayer and torch.nn.TransformerEncoder, which has these layers and may
// have a norm behind them. Both take an embedding along, under names of ours.
inline constexpr const char* kTorchEncoderLayerNames[] = {"torch.nn.TransformerEncoderLayer"};
inline constexpr const char* kTorchEncoderNames[] = {"torch.nn.TransformerEncoder"};

inline constexpr MemberRow kTorchEncoderMembers[] = {
    {"num_heads", Setting::kNumHeads, /*is_required=*/true},
    {"norm_first", Setting::kNormFirst},
    {"activation", Setting::kActivation},
    {"layer_norm_eps", Setting::kLayerNormEps},
    {"positions", Setting::kPositions},
    {"max_len", Setting::kMaxLen},
    {"rotary_base", Setting::kRotaryBase},
    {"rotary_pairing", Setting::kRotaryPairing},
};

inline constexpr LayerConfig kTorchEncoderDefaults = {
    .block = {.norm_position = NormPosition::kBehind, .activation = Activation::kRelu},
    .layer_norm_eps = 1e-5,
};

inline constexpr TensorRow kTorchEncoderRows[] = {
    {"embedding.weight", kTokenTable, {kVocabulary, kDModel}, kOptional},
    {"position_embedding.weight", kPositionTable, {kPlaces, kDModel}, kLearnedPositions},
    {"norm.weight", kFinalGamma, {kDModel}, kOptional},
    {"norm.bias", kFinalBeta, {kDModel}, kOptionalBias},
};
// The first two of these.
inline constexpr absl::Span<const TensorRow> kTorchEmbeddingRows(kTorchEncoderRows, 2);

inline constexpr TensorRow kTorchLayerRows[] = {
    // First, since it tells both sizes.
    {"linear1.weight", kUpWeight, {kFfnDim, kDModel}},
    {"linear1.bias", kUpBias, {kFfnDim}, kBiases},
    {"self_attn.in_proj_weight", kQkvWeight, {3 * kDModel, kDModel}},
    {"self_attn.in_proj_bias", kQkvBias, {3 * kDModel}, kBiases},
    {"self_attn.out_proj.weight", kOutputWeight, {kDModel, kDModel}},
    {"self_attn.out_proj.bias", kOutputBias, {kDModel}, kBiases},
    {"linear2.weight", kDownWeight, {kDModel, kFfnDim}},
    {"linear2.bias", kDownBias, {kDModel}, kBiases},
    {"norm1.weight", kAttentionGamma, {kDModel}},
    {"norm1.bias", kAttentionBeta, {kDModel}, kBiases},
    {"norm2.weight", kFfnGamma, {kDModel}},
    {"norm2.bias", kFfnBeta, {kDModel}, kBiases},
};

inline constexpr Family kTorchEncoderLayer = {
    .names = kTorchEncoderLayerNames,
    .members = kTorchEncoderMembers,
    .defaults = kTorchEncoderDefaults,
    .rows = kTorchEmbeddingRows,
    .layer_rows = kTorchLayerRows,
};

inline constexpr Family kTorchEncoder = {
    .names = kTorchEncoderNames,
    .members = kTorchEncoderMembers,
    .defaults = kTorchEncoderDefaults,
    .rows = kTorchEncoderRows,
    .layer_prefix = "layers.{layer}.",
    .layer_rows = kTorchLayerRows,
};

}  // namespace attention::engine::families

#endif  // ATTENTION_SERVER_MODELS_FAMILIES_TORCH_H_
