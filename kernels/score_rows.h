#ifndef ATTENTION_KERNELS_SCORE_ROWS_H_
#define ATTENTION_KERNELS_SCORE_ROWS_H_

#include <cstdint>

// What happens to one row of scores before it is normalised (operator.md, steps 4 to 6). Rows may
// be unaligned. Thread-safe for different memory.
namespace attention {

// s[j] *= factor.
void ScaleRow(float* s, int64_t count, float factor);

// s[j] /= divisor.
void DivideRow(float* s, int64_t count, float divisor);

// s[j] = softcap * tanh(s[j] / softcap), softcap > 0.
void SoftcapRow(float* s, int64_t count, float softcap);

// s[j] -= slope * |distance - j|: ALiBi (Press et al. 2022), `distance` being the query's position
// less that of key 0 of the row.
void AddAlibiRow(float* s, int64_t count, float slope, int64_t distance);

// s[j] += bias[j], and `hidden` where bias[j] is -inf, whatever s[j] is.
void AddBiasRow(float* s, int64_t count, const float* bias, float hidden);

// s[j] = `hidden` where visible[j] is 0.
void HideRow(float* s, int64_t count, const uint8_t* visible, float hidden);

}  // namespace attention

#endif  // ATTENTION_KERNELS_SCORE_ROWS_H_
