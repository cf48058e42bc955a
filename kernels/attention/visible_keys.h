#ifndef ATTENTION_KERNELS_ATTENTION_VISIBLE_KEYS_H_
#define ATTENTION_KERNELS_ATTENTION_VISIBLE_KEYS_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/attention/attention_problem.h"

namespace attention {

// Keys [begin, end); none where end <= begin.
struct KeyRange {
  int64_t begin = 0;
  int64_t end = 0;

  bool empty() const { return end <= begin; }
};

// Which keys one query sees (operator.md, "Bias"). Only this class decides it, by the bias and
// never by a score, so that a NaN in a hidden key cannot leak and a NaN in a visible one cannot
// vanish. Reads the caller's mask, which must outlive it.
class VisibleKeys {
 public:
  // For query `row` of the sequence, in head `head`.
  VisibleKeys(const AttentionSettings& settings, const AttentionSequence& sequence, int64_t head,
              int64_t row)
      : position_(sequence.Position(row) + sequence.causal_offset) {
    const int64_t last = std::numeric_limits<int64_t>::max();
    const int64_t right = settings.right_window < 0 ? last : settings.right_window;
    const int64_t ahead = settings.causal ? 0 : right;  // how far beyond itself a query sees
    range_.end = std::min(sequence.visible_len, ahead == last ? last : position_ + ahead + 1);
    if (settings.left_window >= 0) {
      range_.begin = std::max<int64_t>(0, position_ - settings.left_window);
    }
    const MaskView& mask = sequence.mask;
    if (mask.empty()) return;
    range_.end = std::min(range_.end, mask.key_count);
    const int64_t first = head * mask.head_stride + sequence.Position(row) * mask.row_stride;
    if (mask.bias != nullptr) bias_ = mask.bias + first;
    if (mask.visible != nullptr) visible_ = mask.visible + first;
  }

  // The query sees no key outside of this range, whatever the mask says.
  KeyRange range() const { return range_; }
  // The query's position among the keys.
  int64_t position() const { return position_; }
  // The mask's row for this query, indexed by key; null if there is no such mask.
  const float* bias() const { return bias_; }
  const uint8_t* visible() const { return visible_; }

  bool Sees(int64_t key) const {
    if (key < range_.begin || key >= range_.end) return false;
    if (bias_ != nullptr) return bias_[key] != -std::numeric_limits<float>::infinity();
    return visible_ == nullptr || visible_[key] != 0;
  }
  bool SeesAny() const {
    for (int64_t key = range_.begin; key < range_.end; ++key) {
      if (Sees(key)) return true;
    }
    return false;
  }

 private:
  int64_t position_;
  KeyRange range_;
  const float* bias_ = nullptr;
  const uint8_t* visible_ = nullptr;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_VISIBLE_KEYS_H_
