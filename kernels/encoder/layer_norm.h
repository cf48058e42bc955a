#ifndef ATTENTION_KERNELS_ENCODER_LAYER_NORM_H_
#define ATTENTION_KERNELS_ENCODER_LAYER_NORM_H_

#include <cstdint>

#include "kernels/memory/panel_layout.h"

namespace attention {

// What a layer normalisation has learned.
struct LayerNorm {
  const float* gamma = nullptr;  // [width]
  const float* beta = nullptr;   // [width]
  float epsilon = 1e-5f;         // above 0
};

// Layer normalisation (Ba, Kiros and Hinton 2016) of each row of x [rows, width]:
//
//   y = (x - mean) / sqrt(variance + epsilon) * gamma + beta
//
// mean and variance being those of the row's numbers; the variance is the mean of the squared
// distances from the mean, in a second pass, so that a large mean costs no digits.
//
// The result is written as float32 to `y` [rows, width], which may be x, and rounded to bfloat16,
// in the form that `format` says, to `operands` [rows, width]; either may be null, and `operands`
// must be where `format` rounds nothing. A row's bits do not depend on the others. Thread-safe for
// different memory.
void NormalizeRows(const float* x, int64_t rows, int64_t width, const LayerNorm& norm, float* y,
                   OperandFormat format, void* operands);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_LAYER_NORM_H_
