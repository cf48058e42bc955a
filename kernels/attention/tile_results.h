#ifndef ATTENTION_KERNELS_ATTENTION_TILE_RESULTS_H_
#define ATTENTION_KERNELS_ATTENTION_TILE_RESULTS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/attention/visible_keys.h"

namespace attention {

// One row of attention weights, from which the results that need whole rows are made.
struct WeightsRow {
  const AttentionSettings& settings;
  const AttentionSequence& sequence;
  int64_t head = 0;
  int64_t query = 0;
  const float* weights = nullptr;        // [kv_len], may lie in the results; unaligned
  float* mean_weights = nullptr;         // [kv_len], to which the weights are added; or null
  const VisibleKeys* visible = nullptr;  // null: the row sees all keys
  float* value_row = nullptr;            // scratch, [v_head_dim]
  int64_t v_head_dim = 0;
};

// Writes those of attention_weights, top_indices, top_weights and weighted_values that are wanted.
void ReturnWeights(const WeightsRow& row);

// Finds the k largest of `weights`, the largest first. Of equal weights the lower index comes
// first; NaN counts as larger than all numbers. `indices` and `values` have k elements, 1 <= k <=
// weights.size().
void TopKeys(absl::Span<const float> weights, absl::Span<int32_t> indices,
             absl::Span<float> values);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_TILE_RESULTS_H_
