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
// One layer, also called a block, computes from the rows x of all tokens of a sequence, on the left
// post-norm (Vaswani et al. 2017, section 3.1; BERT) and on the right pre-norm (Xiong et al. 2020):
//
//   x = norm1(x + attend(x))               x = x + attend(norm1(x))
//   x = norm2(x + feed_forward(x))         x = x + feed_forward(norm2(x))
//
//   attend(x) = (heads of softmax(Q K^T / sqrt(head_dim)) V side by side) o
//               Q = x q, K = x k, V = x v       (each of these linear, with bias)
//   feed_forward(x) = down(activation(up(x)))
namespace attention {

// Where a layer normalises: behind attention and feed-forward part with their residuals (post-norm,
// the left column above), or before them (pre-norm, the right one).
enum class NormPosition : uint8_t { kBehind, kBefore };

// How a layer goes from x to x, whatever its sizes and whatever it has learned: the ways in which
// families of models differ and which the operator follows. Another kind of norm, or a gate in the
// feed-forward part, is one more member here together with the kernel that computes it. What has no
// value here cannot be described, so that a model which needs it is refused where it is read.
struct BlockDescription {
  // Of normalisation.
  NormPosition norm_position = NormPosition::kBehind;
  // Of the feed-forward part.
  Activation activation = Activation::kGelu;

  auto operator<=>(const BlockDescription&) const = default;
};

// What all layers share. d_model is num_heads * head_dim.
struct EncoderShape {
  int64_t d_model = 0;
  int64_t num_heads = 1;
  int64_t ffn_dim = 0;  // width between `up` and `down`
  BlockDescription block = {};

  bool NormalizesFirst() const { return block.norm_position == NormPosition::kBefore; }
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
