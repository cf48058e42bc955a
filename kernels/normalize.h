#ifndef ATTENTION_KERNELS_NORMALIZE_H_
#define ATTENTION_KERNELS_NORMALIZE_H_

#include <cstdint>

#include "absl/types/span.h"

namespace attention {

// How a row of scores becomes a row of attention weights (operator.md, step 7).
enum class Normalization { kSoftmax, kSum };

// row[j] = exp(row[j]) / sum_j exp(row[j]), in place; -inf becomes 0. Returns the row's natural
// log-sum-exp. The row must see at least one key.
//
// exp(s - c) / sum exp(s - c) is the same for every c. The usual c is the row's maximum, which no
// finite score can make overflow, but each subtraction rounds. So c is 0 while |maximum| is at most
// kUnshiftedMax, where exp neither overflows nor loses a weight above 1e-30 of the largest one, and
// the maximum beyond: there the scores that matter lie within a factor of 2 of it, and their
// difference is exact (Sterbenz's lemma). The weights are then as exact as float32 exponentials.
float SoftmaxRow(absl::Span<float> row);

// row[j] = row[j] / sum_j row[j], in place, over the keys that are seen: those that are not -inf,
// which become 0. Returns false, and leaves the row as it is, where the sum is 0.
bool SumRow(absl::Span<float> row);

// The `k` largest of `weights`, the largest first, ties to the lower index; NaN counts as largest.
// `indices` and `values` have k elements, 1 <= k <= weights.size().
void TopKeys(absl::Span<const float> weights, absl::Span<int32_t> indices,
             absl::Span<float> values);

}  // namespace attention

#endif  // ATTENTION_KERNELS_NORMALIZE_H_
