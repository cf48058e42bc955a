#include "server/engine/extra_keys.h"

#include <limits>
#include <utility>

namespace attention::engine {
namespace {

// What is added to the score of key `j` for row `i` of a head.
float BiasOf(const AttentionSettings& settings, const AttentionSequence& s, int64_t head, int64_t i,
             int64_t j) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  const int64_t row = s.Position(i), p = row + s.causal_offset;
  if (j >= s.visible_len || (settings.causal && j > p)) return kHidden;
  if (settings.left_window >= 0 && j < p - settings.left_window) return kHidden;
  if (settings.right_window >= 0 && j > p + settings.right_window) return kHidden;
  if (s.mask.empty()) return 0;
  if (j >= s.mask.key_count) return kHidden;
  const int64_t at = head * s.mask.head_stride + row * s.mask.row_stride + j;
  if (s.mask.bias != nullptr) return s.mask.bias[at];
  return s.mask.visible[at] != 0 ? 0 : kHidden;
}

int64_t MaskHeads(const AttentionSequence& s, int64_t num_heads) {
  return s.mask.head_stride != 0 ? num_heads : 1;
}

std::vector<float> WriteMask(const AttentionSettings& settings, const AttentionSequence& s,
                             int64_t extra_keys) {
  const int64_t heads = MaskHeads(s, settings.num_heads);
  std::vector<float> mask;
  mask.reserve(heads * s.q_len * s.kv_len);
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t i = 0; i < s.q_len; ++i) {
      for (int64_t j = 0; j < s.kv_len - extra_keys; ++j) {
        mask.push_back(BiasOf(settings, s, h, i, j));
      }
      mask.insert(mask.end(), extra_keys, 0.0f);
    }
  }
  return mask;
}

}  // namespace

SequencesWithExtraKeys::SequencesWithExtraKeys(const AttentionModel& model,
                                               const AttentionSettings& settings,
                                               std::vector<AttentionSequence> sequences)
    : settings_(settings), sequences_(std::move(sequences)) {
  masks_.reserve(sequences_.size());
  settings_.causal = false;
  settings_.left_window = settings_.right_window = -1;
  const auto view = [&](const float* rows, int64_t dim) {
    return TokenMajorView(reinterpret_cast<const std::byte*>(rows), DataType::kFloat32,
                          model.num_kv_heads, dim);
  };
  for (AttentionSequence& s : sequences_) {
    std::vector<float>& mask = masks_.emplace_back(WriteMask(settings, s, model.extra_keys));
    const int64_t own = s.kv_len - model.extra_keys;
    s.key = {s.key.current, view(model.extra_key, model.head_dim), own};
    s.value = {s.value.current, view(model.extra_value, model.v_head_dim), own};
    s.mask = {.bias = mask.data(),
              .head_stride = s.mask.head_stride != 0 ? s.q_len * s.kv_len : 0,
              .row_stride = s.kv_len,
              .key_count = s.kv_len};
    s.visible_len = s.kv_len;
    s.query_positions = {};
  }
}

double ExtraKeysBytes(absl::Span<const AttentionSequence> sequences, int64_t extra_keys,
                      int64_t num_heads) {
  if (extra_keys == 0) return 0;
  double bytes = 0;
  for (const AttentionSequence& s : sequences) {
    bytes += sizeof(std::vector<float>);
    bytes += sizeof(float) * static_cast<double>(MaskHeads(s, num_heads)) *
             static_cast<double>(s.q_len) * static_cast<double>(s.kv_len);
  }
  return bytes;
}

}  // namespace attention::engine
