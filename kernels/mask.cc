#include "kernels/mask.h"

#include <algorithm>
#include <limits>

namespace attention {
namespace {

constexpr float kHidden = -std::numeric_limits<float>::infinity();

}  // namespace

RowBias::RowBias(const MaskView& mask, bool causal, int64_t b, int64_t head, int64_t position,
                 int64_t kv_len)
    : key_end_(causal ? std::min(position + 1, kv_len) : kv_len) {
  if (mask.empty()) return;
  const int64_t row = b * mask.batch_stride + head * mask.head_stride + position * mask.row_stride;
  if (mask.bias != nullptr) bias_ = mask.bias + row;
  if (mask.visible != nullptr) visible_ = mask.visible + row;
  key_end_ = std::min(key_end_, mask.key_count);
}

bool RowBias::Sees(int64_t key) const {
  if (key >= key_end_) return false;
  if (bias_ != nullptr) return bias_[key] != kHidden;
  return visible_ == nullptr || visible_[key] != 0;
}

int64_t RowBias::AddTo(absl::Span<float> scores) const {
  std::fill(scores.begin() + key_end_, scores.end(), kHidden);
  if (bias_ == nullptr && visible_ == nullptr) return key_end_;
  int64_t seen = 0;
  for (int64_t j = 0; j < key_end_; ++j) {
    const bool sees = Sees(j);
    seen += sees;
    if (!sees) {
      scores[j] = kHidden;
    } else if (bias_ != nullptr) {
      scores[j] += bias_[j];
    }
  }
  return seen;
}

}  // namespace attention
