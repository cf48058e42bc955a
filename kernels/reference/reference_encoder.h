#ifndef ATTENTION_KERNELS_REFERENCE_REFERENCE_ENCODER_H_
#define ATTENTION_KERNELS_REFERENCE_REFERENCE_ENCODER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/encoder/encoder.h"

namespace attention {

// The oracle of one encoder layer for one sequence: the definition in encoder.h, computed one
// element at a time in double precision. Only queries, keys and values are rounded to float32,
// because ReferenceAttention takes them so.
//
// `x` [len, d_model]. Returns the rows `rows` of the layer's result, [rows.size(), d_model], with
// causality and masks of `settings` and `mask`. The numbers of heads and the scale come from
// `shape`.
std::vector<double> ReferenceEncoderLayer(const EncoderShape& shape, const EncoderLayer& layer,
                                          const AttentionSettings& settings, const MaskView& mask,
                                          absl::Span<const float> x,
                                          absl::Span<const int64_t> rows);

// Layer normalisation by its definition, of each row of x [rows, width].
std::vector<double> ReferenceLayerNorm(absl::Span<const double> x, int64_t width,
                                       const LayerNorm& norm);

}  // namespace attention

#endif  // ATTENTION_KERNELS_REFERENCE_REFERENCE_ENCODER_H_
