#ifndef ATTENTION_KERNELS_ATTENTION_ROWS_SCORE_ROWS_H_
#define ATTENTION_KERNELS_ATTENTION_ROWS_SCORE_ROWS_H_

#include <cstdint>

// Scales, caps and biases one row of scores before it is normalised (operator.md, "Score", "Cap"
// and "Bias"). Rows may be unaligned. Thread-safe for different memory.
namespace attention {

// s[j] *= factor.
void ScaleRow(float* s, int64_t count, float factor);

// s[j] /= divisor.
void DivideRow(float* s, int64_t count, float divisor);

// "Score", "Cap" and "Bias" for consecutive scores of one row. A line is left out if its number is
// 0 or its pointer is null:
//
//   s[j] *= scale
//   s[j] = softcap * tanh(s[j] / softcap)   within 4 units in the last place; `approximate`: within
//                                           1e-4 on AVX-512, else 5e-4, for weights rounded to
//                                           bfloat16
//   s[j] -= slope * |distance - j|          ALiBi (Press et al. 2022); `distance`: the query's
//                                           position less that of key 0 of the run
//   s[j] += bias[j]
//   s[j] = hidden                           where bias[j] is -inf or visible[j] is 0, whatever s[j]
struct ScoreStages {
  float scale = 1.0f;
  float softcap = 0.0f;
  bool approximate = false;
  float slope = 0.0f;
  int64_t distance = 0;
  const float* bias = nullptr;
  const uint8_t* visible = nullptr;
  float hidden = 0.0f;
};
void ApplyStages(float* s, int64_t count, const ScoreStages& stages);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ROWS_SCORE_ROWS_H_
