#include "server/rpc/messages/decode_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

absl::Status CheckEnums(const v1::AttentionConfig& config) {
  absl::Status status =
      WantEnum(v1::Normalization_IsValid(config.normalization()), config.normalization(),
               "NORMALIZATION_SOFTMAX or NORMALIZATION_SUM", "config.normalization");
  if (status.ok()) {
    status = WantEnum(v1::ScoreStage_IsValid(config.score_stage()), config.score_stage(),
                      "SCORE_STAGE_RAW, SCORE_STAGE_SOFTCAPPED or SCORE_STAGE_BIASED",
                      "config.score_stage");
  }
  if (status.ok()) {
    status = WantEnum(v1::ComputeType_IsValid(config.compute_type()), config.compute_type(),
                      "COMPUTE_TYPE_FLOAT32 or COMPUTE_TYPE_BFLOAT16", "config.compute_type");
  }
  return status;
}

// -1, which is no bound, to the longest distance that there can be.
absl::Status DecodeWindow(bool given, int64_t window, absl::string_view field, int64_t& to) {
  if (!given) return absl::OkStatus();
  if (window < -1) {
    return FieldError(field, absl::StrCat("is ", window, "; want at least 0, or -1 for no bound"));
  }
  to = std::min(window, kMaxPosition);
  return absl::OkStatus();
}

// One number a head, or none.
template <typename Fits>
absl::Status DecodePerHead(const google::protobuf::RepeatedField<float>& numbers, int64_t num_heads,
                           Fits fits, absl::string_view want, absl::string_view field,
                           absl::Span<const float>& to) {
  if (numbers.empty()) return absl::OkStatus();
  if (numbers.size() != num_heads) {
    return FieldError(field, absl::StrCat("has ", numbers.size(), " elements; want ", num_heads,
                                          " = num_heads, or none"));
  }
  for (int i = 0; i < numbers.size(); ++i) {
    if (fits(numbers[i])) continue;
    return FieldError(absl::StrCat(field, "[", i, "]"),
                      absl::StrCat("is ", numbers[i], "; want ", want));
  }
  to = numbers;
  return absl::OkStatus();
}

absl::Status DecodeScalars(const v1::AttentionConfig& config, const ConfiguredCall& shape,
                           AttentionSettings& to) {
  if (config.has_scale() && !std::isfinite(config.scale())) {
    return FieldError("config.scale",
                      absl::StrCat("is ", config.scale(), "; want a finite number"));
  }
  const double head_dim = static_cast<double>(shape.head_dim);
  to.scale = config.has_scale() ? config.scale() : static_cast<float>(1.0 / std::sqrt(head_dim));
  to.softcap = config.softcap();
  if (!std::isfinite(to.softcap) || to.softcap < 0) {
    return FieldError("config.softcap",
                      absl::StrCat("is ", to.softcap, "; want a number above 0, or 0 for none"));
  }
  absl::Status status = DecodeWindow(config.has_left_window(), config.left_window(),
                                     "config.left_window", to.left_window);
  if (status.ok()) {
    status = DecodeWindow(config.has_right_window(), config.right_window(), "config.right_window",
                          to.right_window);
  }
  if (status.ok()) {
    status = DecodePerHead(
        config.alibi_slopes(), shape.num_heads, [](float x) { return std::isfinite(x); },
        "a finite number", "config.alibi_slopes", to.alibi_slopes);
  }
  if (status.ok()) {
    status = DecodePerHead(
        config.sinks(), shape.num_heads,
        [](float x) { return std::isfinite(x) || (std::isinf(x) && x < 0); },
        "a finite number or -inf", "config.sinks", to.sinks);
  }
  if (status.ok() && !to.sinks.empty() && to.normalization == Normalization::kSum) {
    return FieldError("config.sinks", "is set; want NORMALIZATION_SOFTMAX with it");
  }
  return status;
}

// The mask's axes, aligned from the right with [batch, num_heads, q_len, kv_len]. The last may be
// short; each other is full or 1, which stands for all.
absl::Status DecodeMaskOf(const v1::AttentionConfig& config, const ConfiguredCall& shape,
                          TensorStorage& storage, DecodedConfig& to) {
  const absl::StatusOr<MaskTensorView> mask = DecodeMask(config.mask(), "config.mask", storage);
  if (!mask.ok()) return mask.status();
  const int64_t full[] = {shape.batch, shape.num_heads, shape.q_len, shape.kv_len};
  int64_t strides[] = {0, 0, 0, 0};
  int64_t stride = 1;
  for (int64_t axis = static_cast<int64_t>(mask->shape.size()) - 1, at = 3; axis >= 0;
       --axis, --at) {
    const int64_t length = mask->shape[axis];
    if (at == 3 ? length > full[at] : length != full[at] && length != 1) {
      return FieldError("config.mask.shape",
                        absl::StrCat("is ", ShapeText(mask->shape), "; want it to broadcast to ",
                                     ShapeText(full), " = [batch, num_heads, q_len, kv_len]"));
    }
    strides[at] = length == 1 ? 0 : stride;
    stride *= length;
  }
  to.mask = {.bias = mask->floats,
             .visible = mask->bools,
             .head_stride = strides[1],
             .row_stride = strides[2],
             .key_count = mask->shape.back()};
  to.mask_batch_stride = strides[0];
  return absl::OkStatus();
}

}  // namespace

absl::Status WantEnum(bool valid, int value, absl::string_view want, absl::string_view field) {
  if (valid) return absl::OkStatus();
  return FieldError(field, absl::StrCat("is unknown: ", value, "; want ", want));
}

absl::StatusOr<DecodedConfig> DecodeConfig(const v1::AttentionConfig& config,
                                           const ConfiguredCall& shape, TensorStorage& storage) {
  absl::Status status = CheckEnums(config);
  if (!status.ok()) return status;
  DecodedConfig decoded;
  AttentionSettings& to = decoded.settings;
  to.num_heads = shape.num_heads;
  to.num_kv_heads = shape.num_kv_heads;
  if (config.normalization() == v1::NORMALIZATION_SUM) to.normalization = Normalization::kSum;
  if (config.score_stage() == v1::SCORE_STAGE_SOFTCAPPED) to.score_stage = ScoreStage::kSoftcapped;
  if (config.score_stage() == v1::SCORE_STAGE_BIASED) to.score_stage = ScoreStage::kBiased;
  if (config.compute_type() == v1::COMPUTE_TYPE_BFLOAT16) {
    decoded.compute_type = ComputeType::kBfloat16;
  }
  to.causal = config.causal();
  status = DecodeScalars(config, shape, to);
  if (status.ok() && config.has_mask()) status = DecodeMaskOf(config, shape, storage, decoded);
  if (!status.ok()) return status;
  return decoded;
}

}  // namespace attention::rpc
