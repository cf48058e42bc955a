#ifndef ATTENTION_KERNELS_MEMORY_HEADS_VIEW_H_
#define ATTENTION_KERNELS_MEMORY_HEADS_VIEW_H_

#include <cstddef>
#include <cstdint>

#include "kernels/memory/data_type.h"

namespace attention {

// A view of the numbers [heads, len, dim] of one sequence in whatever order memory holds them: the
// `dim` numbers of token i in head h begin at number h * head_stride + i * row_stride. So the
// layouts [len, heads * dim] and [heads, len, dim], alone or in a batch, are all read in place.
// `Byte` is const std::byte or std::byte. Does not own the memory, which may be unaligned.
template <typename Byte>
struct BasicHeadsView {
  Byte* data = nullptr;
  DataType type = DataType::kFloat32;
  int64_t head_stride = 0;  // numbers
  int64_t row_stride = 0;   // numbers

  Byte* Row(int64_t head, int64_t row) const {
    return data + (head * head_stride + row * row_stride) * ByteSize(type);
  }
};

using HeadsView = BasicHeadsView<const std::byte>;
using MutableHeadsView = BasicHeadsView<std::byte>;

inline HeadsView ReadOnly(const MutableHeadsView& view) {
  return {view.data, view.type, view.head_stride, view.row_stride};
}

// A view of dense memory [len, heads * dim].
template <typename Byte>
BasicHeadsView<Byte> TokenMajorView(Byte* data, DataType type, int64_t heads, int64_t dim) {
  return {data, type, dim, heads * dim};
}

// A view of dense memory [heads, len, dim].
template <typename Byte>
BasicHeadsView<Byte> HeadMajorView(Byte* data, DataType type, int64_t len, int64_t dim) {
  return {data, type, len * dim, dim};
}

// The keys or the values of one sequence: `past_len` tokens of `past` before those of `current`.
struct CachedHeadsView {
  HeadsView past;
  HeadsView current;
  int64_t past_len = 0;

  const std::byte* Row(int64_t head, int64_t row) const {
    return row < past_len ? past.Row(head, row) : current.Row(head, row - past_len);
  }
  DataType Type(int64_t row) const { return row < past_len ? past.type : current.type; }
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_HEADS_VIEW_H_
