#ifndef ATTENTION_KERNELS_ENCODER_ENCODER_H_
#define ATTENTION_KERNELS_ENCODER_ENCODER_H_

#include <compare>
#include <cstdint>

#include "absl/types/span.h"
#include "kernels/encoder/layer_norm.h"
#include "kernels/onednn/activation.h"
#include "kernels/products/packed_weight.h"

// What a stack of encoder layers computes, and from which parameters. All memory belongs to the
// caller.
//
// One layer computes, from the rows x of all tokens of a sequence, on the left post-norm (Vaswani
// et al. 2017, section 3.1; BERT) and on the right pre-norm (Xiong et al. 2020):
//
//   x = norm1(x + attend(x))               x = x + attend(norm1(x))
//   x = norm2(x + feed_forward(x))         x = x + feed_forward(norm2(x))
//
//   attend(x) = (heads of softmax(Q K^T / sqrt(head_dim)) V side by side) o
//               Q = x q, K = x k, V = x v       (each of these linear, with bias)
//   feed_forward(x) = down(activation(up(x)))
namespace attention {

// Sizes and flags that all layers share. d_model is num_heads * head_dim.
struct EncoderShape {
  int64_t d_model = 0;
  int64_t num_heads = 1;
  int64_t ffn_dim = 0;  // width between `up` and `down`
  bool norm_first = false;
  Activation activation = Activation::kGelu;

  int64_t head_dim() const { return d_model / num_heads; }
  auto operator<=>(const EncoderShape&) const = default;
};

// The learned parameters of one layer.
struct EncoderLayer {
  Linear q, k, v, o;         // [d_model, d_model]
  Linear up;                 // [d_model, ffn_dim]
  Linear down;               // [ffn_dim, d_model]
  LayerNorm attention_norm;  // norm1
  LayerNorm ffn_norm;        // norm2
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_ENCODER_H_
