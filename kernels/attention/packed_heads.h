#ifndef ATTENTION_KERNELS_ATTENTION_PACKED_HEADS_H_
#define ATTENTION_KERNELS_ATTENTION_PACKED_HEADS_H_

#include <cstdint>

#include "kernels/attention/attention_problem.h"
#include "kernels/memory/panel_layout.h"
#include "kernels/memory/tiles.h"

namespace attention {

// The packed keys and values of one key/value head of one sequence, in the caller's memory:
//
//   keys        K^T in panels of 64 keys, each [head_dim, 64]
//   values      V in panels of 64 columns, each [kv_len rounded up to 64, 64]
//   non_finite  a bit for each value row that holds an infinity or a NaN. It is packed as zeros: in
//               the product it would reach every query, because 0 * NaN is NaN, also those that do
//               not see it.
//
// Any run of keys that begins at a multiple of 64 is contiguous in both, so products over 32 to
// 1024 keys all read the same packed memory. bfloat16 values are interleaved as
// RowPairs::kSixteenApart.
class PackedHead {
 public:
  struct Widths {
    int64_t head_dim = 0;
    int64_t v_head_dim = 0;
    OperandFormat format;
  };

  // The number of panels of keys, which are also the units in which a head is packed.
  static int64_t Units(int64_t kv_len) { return CeilDiv(kv_len, kPanelWidth); }
  // The bytes that a head takes, a multiple of a cache line.
  static int64_t Bytes(const Widths& widths, int64_t kv_len);
  // Floats of scratch memory that packing needs.
  static int64_t ScratchSize(const Widths& widths);

  // `memory` is aligned to 64 bytes and as large as Bytes says.
  PackedHead(const Widths& widths, int64_t kv_len, void* memory);

  // Pack unit `unit` of key/value head `kv_head`. Different units may be packed at the same time.
  void PackKeys(const CachedHeadsView& key, int64_t kv_head, int64_t unit, float* scratch) const;
  void PackValues(const CachedHeadsView& value, int64_t kv_head, int64_t unit,
                  float* scratch) const;

  // The panels from key `first` on, a multiple of 64.
  const void* Keys(int64_t first) const { return keys_ + first / kPanelWidth * key_panel_bytes_; }
  // Rows from key `first` on, a multiple of 64, of columns [64 * panel, 64 * panel + 64).
  const void* Values(int64_t first, int64_t panel) const {
    return values_ + panel * value_panel_bytes_ +
           first * kPanelWidth * ByteSize(widths_.format.operand);
  }
  // Bit i is set if value row first + i is not finite. `first` is a multiple of 64.
  uint64_t NonFinite(int64_t first) const { return non_finite_[first / kPanelWidth]; }

 private:
  Widths widths_;
  int64_t kv_len_;
  int64_t key_panel_bytes_;
  int64_t value_panel_bytes_;
  char* keys_;
  char* values_;
  uint64_t* non_finite_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_PACKED_HEADS_H_
