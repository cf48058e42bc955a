#ifndef ATTENTION_KERNELS_ENCODER_LAYER_NORM_H_
#define ATTENTION_KERNELS_ENCODER_LAYER_NORM_H_

#include <cstdint>

#include "kernels/memory/panel_layout.h"

namespace attention {

// The learned parameters of a layer normalisation, and its epsilon.
struct LayerNorm {
  const float* gamma = nullptr;  // [width]
  const float* beta = nullptr;   // [width]
  float epsilon = 1e-5f;         // above 0
};

// Layer normalisation (Ba, Kiros and Hinton 2016) of each row of x [rows, width]:
//
//   y = (x - mean) / sqrt(variance + epsilon) * gamma + beta
//
// with the mean and the variance of the row's numbers. The variance is the mean of the squared
// distances from the mean, computed in a second pass, so that a large mean costs no digits.
//
// The result is written as float32 to `y` [rows, width], which may be x, and rounded to bfloat16,
// in the form of `format`, to `operands` [rows, width]. Either may be null; `operands` must be null
// if `format` rounds nothing. The bits of a row do not depend on the other rows. Thread-safe for
// different memory.
void NormalizeRows(const float* x, int64_t rows, int64_t width, const LayerNorm& norm, float* y,
                   OperandFormat format, void* operands);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_LAYER_NORM_H_
