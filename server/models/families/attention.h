#ifndef ATTENTION_SERVER_MODELS_FAMILIES_ATTENTION_H_
#define ATTENTION_SERVER_MODELS_FAMILIES_ATTENTION_H_

#include "server/models/family.h"

// One attention layer in the names of ProjectionWeights (proto/attention/v1).
namespace attention::engine::families {

inline constexpr const char* kAttentionNames[] = {"attention"};

inline constexpr MemberRow kAttentionMembers[] = {
    {"num_heads", Setting::kNumHeads, /*is_required=*/true},
    {"num_kv_heads", Setting::kNumKvHeads},
};

inline constexpr TensorRow kAttentionRows[] = {
    {"q_proj", kQueryWeight, {kDModel, kNumHeads* kHeadDim}},
    {"q_bias", kQueryBias, {kNumHeads * kHeadDim}, kOptionalBias},
    {"k_proj", kKeyWeight, {kDContext, kNumKvHeads* kHeadDim}},
    {"k_bias", kKeyBias, {kNumKvHeads * kHeadDim}, kOptionalBias},
    {"v_proj", kValueWeight, {kDContext, kNumKvHeads* kVHeadDim}},
    {"v_bias", kValueBias, {kNumKvHeads * kVHeadDim}, kOptionalBias},
    {"o_proj", kOutputWeight, {kNumHeads * kVHeadDim, kDOut}, kOptional},
    {"o_bias", kOutputBias, {kDOut}, kOptionalBias},
};

inline constexpr Family kAttention = {
    .names = kAttentionNames,
    .members = kAttentionMembers,
    .model_kind = ModelKind::kAttention,
    .rows = kAttentionRows,
    .is_transposed = false,
};

}  // namespace attention::engine::families

#endif  // ATTENTION_SERVER_MODELS_FAMILIES_ATTENTION_H_
