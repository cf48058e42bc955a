#include "server/rpc/decode_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/engine/call_sequences.h"
#include "server/rpc/field_error.h"

namespace attention::rpc {
namespace {

constexpr int64_t kMaxPosition = int64_t{1} << 31;

absl::Status WantEnum(bool valid, int value, absl::string_view want, absl::string_view field) {
  if (valid) return absl::OkStatus();
  return FieldError(field, absl::StrCat("is unknown: ", value, "; want ", want));
}

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

absl::Status DecodeScalars(const v1::AttentionConfig& config, const engine::CallShape& shape,
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

// The positions of `count` tokens, sequence by sequence: as many are given, or, where all sequences
// are equally long, those of one.
absl::Status DecodePositions(absl::Span<const int64_t> given, int64_t count, int64_t batch,
                             bool ragged, absl::string_view field, std::vector<int64_t>& to) {
  const auto size = static_cast<int64_t>(given.size());
  const bool alike = !ragged && size * batch == count;
  if (size != count && !alike) {
    const std::string one = ragged || batch == 1 ? "" : absl::StrCat(count / batch, " or ");
    return FieldError(field,
                      absl::StrCat("has ", size, " elements; want ", one, count, ", one a token"));
  }
  for (int64_t i = 0; i < size; ++i) {
    if (given[i] >= -kMaxPosition && given[i] <= kMaxPosition) continue;
    return FieldError(absl::StrCat(field, "[", i, "]"),
                      absl::StrCat("is ", given[i], "; want -2^31 to 2^31"));
  }
  while (static_cast<int64_t>(to.size()) < count) to.insert(to.end(), given.begin(), given.end());
  return absl::OkStatus();
}

absl::Status DecodeRotary(const v1::RotaryEmbedding& rotary, engine::AttentionCall& call) {
  using v1::RotaryEmbedding;
  absl::Status status =
      WantEnum(RotaryEmbedding::Pairing_IsValid(rotary.pairing()), rotary.pairing(),
               "PAIRING_SPLIT_HALF or PAIRING_INTERLEAVED", "config.rotary.pairing");
  if (!status.ok()) return status;
  engine::CallRotary& to = call.rotary.emplace();
  if (rotary.pairing() == RotaryEmbedding::PAIRING_INTERLEAVED) {
    to.settings.pairing = RotaryPairing::kInterleaved;
  }
  const int64_t head_dim = call.shape.head_dim;
  if (head_dim < 2) {
    return FieldError("config.rotary",
                      absl::StrCat("is set; want it unset, since it rotates pairs of numbers and "
                                   "head_dim is ",
                                   head_dim));
  }
  to.settings.rotary_dim = rotary.rotary_dim() == 0 ? head_dim : rotary.rotary_dim();
  const int64_t dim = to.settings.rotary_dim;
  if (dim < 2 || dim % 2 != 0 || dim > head_dim) {
    return FieldError(
        "config.rotary.rotary_dim",
        absl::StrCat("is ", rotary.rotary_dim(), rotary.rotary_dim() == 0 ? ", all" : "",
                     "; want an even number from 2 to ", head_dim, " = head_dim"));
  }
  if (rotary.base() != 0) to.settings.base = rotary.base();
  if (!std::isfinite(to.settings.base) || to.settings.base < 1) {
    return FieldError("config.rotary.base",
                      absl::StrCat("is ", rotary.base(), "; want at least 1, or 0 for 10000"));
  }
  if (rotary.query_positions().empty() != rotary.key_positions().empty()) {
    return FieldError(rotary.query_positions().empty() ? "config.rotary.query_positions"
                                                       : "config.rotary.key_positions",
                      "is not set; want query_positions and key_positions, or neither");
  }
  if (rotary.query_positions().empty()) return absl::OkStatus();
  const engine::SequenceOffsets totals = engine::Totals(call);
  status = DecodePositions(rotary.query_positions(), totals.source_queries, call.shape.batch,
                           call.ragged, "config.rotary.query_positions", to.query_positions);
  if (!status.ok()) return status;
  return DecodePositions(rotary.key_positions(), totals.current_keys, call.shape.batch, call.ragged,
                         "config.rotary.key_positions", to.key_positions);
}

// The mask's axes, aligned from the right with [batch, num_heads, q_len, kv_len]. The last may be
// short; each other is full or 1, which stands for all.
absl::Status DecodeMaskInto(const v1::AttentionConfig& config, DecodedRequest& decoded) {
  const absl::StatusOr<MaskTensorView> mask =
      DecodeMask(config.mask(), "config.mask", decoded.storage);
  if (!mask.ok()) return mask.status();
  const engine::CallShape& s = decoded.call.shape;
  const int64_t full[] = {s.batch, s.num_heads, decoded.call.source_len, s.kv_len};
  int64_t strides[] = {0, 0, 0, 0};
  int64_t stride = 1;
  for (int64_t axis = static_cast<int64_t>(mask->shape.size()) - 1, to = 3; axis >= 0;
       --axis, --to) {
    const int64_t length = mask->shape[axis];
    if (to == 3 ? length > full[to] : length != full[to] && length != 1) {
      return FieldError("config.mask.shape",
                        absl::StrCat("is ", ShapeText(mask->shape), "; want it to broadcast to ",
                                     ShapeText(full), " = [batch, num_heads, q_len, kv_len]"));
    }
    strides[to] = length == 1 ? 0 : stride;
    stride *= length;
  }
  decoded.call.mask = {.bias = mask->floats,
                       .visible = mask->bools,
                       .head_stride = strides[1],
                       .row_stride = strides[2],
                       .key_count = mask->shape.back()};
  decoded.call.mask_batch_stride = strides[0];
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeConfig(const v1::AttentionConfig& config, DecodedRequest& decoded) {
  engine::AttentionCall& call = decoded.call;
  absl::Status status = CheckEnums(config);
  if (!status.ok()) return status;
  AttentionSettings& to = call.settings;
  to.num_heads = call.shape.num_heads;
  to.num_kv_heads = call.shape.num_kv_heads;
  if (config.normalization() == v1::NORMALIZATION_SUM) to.normalization = Normalization::kSum;
  if (config.score_stage() == v1::SCORE_STAGE_SOFTCAPPED) to.score_stage = ScoreStage::kSoftcapped;
  if (config.score_stage() == v1::SCORE_STAGE_BIASED) to.score_stage = ScoreStage::kBiased;
  if (config.compute_type() == v1::COMPUTE_TYPE_BFLOAT16)
    call.compute_type = ComputeType::kBfloat16;
  to.causal = config.causal();
  status = DecodeScalars(config, call.shape, to);
  if (status.ok() && config.has_rotary()) status = DecodeRotary(config.rotary(), call);
  if (status.ok() && config.has_mask()) status = DecodeMaskInto(config, decoded);
  return status;
}

}  // namespace attention::rpc
