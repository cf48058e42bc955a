#ifndef ATTENTION_KERNELS_ATTENTION_SHAPE_H_
#define ATTENTION_KERNELS_ATTENTION_SHAPE_H_

#include <cstdint>

namespace attention {

// The sizes of one attention problem; all at least 1, and num_heads a multiple of num_kv_heads.
struct AttentionShape {
  int64_t batch = 1;         // independent sequences
  int64_t q_len = 1;         // query tokens that are computed
  int64_t kv_len = 1;        // key/value tokens
  int64_t num_heads = 1;     // query heads
  int64_t num_kv_heads = 1;  // key/value heads
  int64_t head_dim = 1;      // width of one query or key head
  int64_t v_head_dim = 1;    // width of one value head

  // The key/value head that query head `head` reads.
  int64_t KvHead(int64_t head) const { return head / (num_heads / num_kv_heads); }
};

// A view of [batch, heads, len, dim] numbers in whatever order memory holds them: element
// (b, h, i, d) is data[b * batch_stride + h * head_stride + i * row_stride + d]. So the layouts
// [len, heads * dim], [batch, len, heads * dim] and [batch, heads, len, dim] are all read in place.
// Strides count elements. Does not own the memory.
template <typename T>
struct HeadsView {
  T* data = nullptr;
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;

  // The `dim` elements of token `row`.
  T* Row(int64_t b, int64_t head, int64_t row) const {
    return data + b * batch_stride + head * head_stride + row * row_stride;
  }
};

// [batch, len, heads * dim], and with batch = 1 [len, heads * dim].
template <typename T>
HeadsView<T> TokenMajorView(T* data, int64_t len, int64_t heads, int64_t dim) {
  return {data, len * heads * dim, dim, heads * dim};
}

// [batch, heads, len, dim].
template <typename T>
HeadsView<T> HeadMajorView(T* data, int64_t len, int64_t heads, int64_t dim) {
  return {data, heads * len * dim, len * dim, dim};
}

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_SHAPE_H_
