#ifndef ATTENTION_KERNELS_ONEDNN_ACTIVATION_H_
#define ATTENTION_KERNELS_ONEDNN_ACTIVATION_H_

#include <cstdint>

namespace attention {

// What a linear layer does to each of its results x.
enum class Activation : uint8_t {
  kNone,
  kRelu,      // max(x, 0)
  kGelu,      // x * Phi(x), Phi: the normal distribution function (Hendrycks and Gimpel 2016)
  kGeluTanh,  // approximates kGelu: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_ACTIVATION_H_
