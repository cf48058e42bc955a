#include "server/engine/steps/extra_keys.h"

#include <algorithm>
#include <limits>

namespace attention::engine {
namespace {

// What the caller's mask adds to the score of key `j` for position `row` of a head.
float MaskOf(const MaskView& mask, int64_t head, int64_t row, int64_t j) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  if (mask.empty()) return 0;
  if (j >= mask.key_count) return kHidden;
  const int64_t at = head * mask.head_stride + row * mask.row_stride + j;
  if (mask.bias != nullptr) return mask.bias[at];
  return mask.visible[at] != 0 ? 0 : kHidden;
}

// The same of all that hides keys, for row `i`.
float BiasOf(const AttentionSettings& settings, const AttentionSequence& s, int64_t head, int64_t i,
             int64_t j) {
  const int64_t row = s.Position(i), p = row + s.causal_offset;
  const bool hidden = j >= s.visible_len || (settings.causal && j > p) ||
                      (settings.left_window >= 0 && j < p - settings.left_window) ||
                      (settings.right_window >= 0 && j > p + settings.right_window);
  return hidden ? -std::numeric_limits<float>::infinity() : MaskOf(s.mask, head, row, j);
}

int64_t MaskHeads(const AttentionSequence& s, int64_t num_heads) {
  return s.mask.head_stride != 0 ? num_heads : 1;
}

// Writes the mask of `s` to `to`, and returns its end.
float* WriteMask(const AttentionSettings& settings, const AttentionSequence& s, int64_t extra_keys,
                 float* to) {
  for (int64_t h = 0; h < MaskHeads(s, settings.num_heads); ++h) {
    for (int64_t i = 0; i < s.q_len; ++i) {
      for (int64_t j = 0; j < s.kv_len - extra_keys; ++j) *to++ = BiasOf(settings, s, h, i, j);
      to = std::fill_n(to, extra_keys, 0.0f);
    }
  }
  return to;
}

}  // namespace

int64_t ExtraKeysMaskFloats(absl::Span<const AttentionSequence> sequences, int64_t num_heads) {
  int64_t floats = 0;
  for (const AttentionSequence& s : sequences)
    floats += MaskHeads(s, num_heads) * s.q_len * s.kv_len;
  return floats;
}

AttentionSettings AppendExtraKeys(const AttentionModel& model, const AttentionSettings& settings,
                                  absl::Span<AttentionSequence> sequences, float* masks) {
  const auto view = [&](const float* rows, int64_t dim) {
    return TokenMajorView(reinterpret_cast<const std::byte*>(rows), DataType::kFloat32,
                          model.num_kv_heads, dim);
  };
  for (AttentionSequence& s : sequences) {
    float* const mask = masks;
    masks = WriteMask(settings, s, model.extra_keys, mask);
    const int64_t own = s.kv_len - model.extra_keys;
    s.key = {s.key.current, view(model.extra_key, model.head_dim), own};
    s.value = {s.value.current, view(model.extra_value, model.v_head_dim), own};
    s.mask = {.bias = mask,
              .head_stride = s.mask.head_stride != 0 ? s.q_len * s.kv_len : 0,
              .row_stride = s.kv_len,
              .key_count = s.kv_len};
    s.visible_len = s.kv_len;
    s.query_positions = {};
  }
  AttentionSettings without = settings;
  without.causal = false;
  without.left_window = without.right_window = -1;
  return without;
}

}  // namespace attention::engine
