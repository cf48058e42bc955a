#ifndef ATTENTION_KERNELS_MASK_H_
#define ATTENTION_KERNELS_MASK_H_

#include <cstdint>

#include "absl/types/span.h"

namespace attention {

// The caller's mask, broadcast to [batch, num_heads, q_len, kv_len] by strides of 0. At most one of
// the two pointers is set; neither means that every key is seen. Does not own the memory.
struct MaskView {
  const float* bias = nullptr;       // added to the scores; -inf hides the key
  const uint8_t* visible = nullptr;  // 1: attends, 0: hidden
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
  int64_t key_count = 0;  // length of the last axis; keys from here on are hidden

  bool empty() const { return bias == nullptr && visible == nullptr; }
};

// All that one query may and may not see: the sum of mask and causality (operator.md, step 6). What
// is hidden is decided here alone, never on a score, so that a NaN in a hidden key cannot leak and
// a NaN in a visible one cannot vanish.
class RowBias {
 public:
  // The bias of the query at `position` of its sequence, in head `head` of sequence `b`. `mask`
  // must outlive the object.
  RowBias(const MaskView& mask, bool causal, int64_t b, int64_t head, int64_t position,
          int64_t kv_len);

  // Whether the query sees key `key`, 0 <= key < kv_len.
  bool Sees(int64_t key) const;

  // scores[j] += bias[j], and -inf for hidden keys whatever the score. Returns how many keys the
  // query sees. `scores` is [kv_len].
  int64_t AddTo(absl::Span<float> scores) const;

 private:
  const float* bias_ = nullptr;       // [key_end_]
  const uint8_t* visible_ = nullptr;  // [key_end_]
  int64_t key_end_;                   // keys from here on are hidden by causality or a short mask
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MASK_H_
