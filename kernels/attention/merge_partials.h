#ifndef ATTENTION_KERNELS_ATTENTION_MERGE_PARTIALS_H_
#define ATTENTION_KERNELS_ATTENTION_MERGE_PARTIALS_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "kernels/memory/heads_view.h"

namespace attention {

// Attention over some of the keys.
struct PartialAttention {
  HeadsView output;                    // [heads, len, dim]
  const float* log_sum_exp = nullptr;  // [heads, len]; -inf: the row sees none of these keys
};

// The bytes of memory that MergePartials needs. A double, so that huge sizes do not overflow.
double MergePartialsBytes(size_t parts, int64_t dim);

// Attention over all keys from attention over disjoint parts of them (the merge of
// FlashAttention-2, Dao 2023, section 3.1):
//
//   L = log sum_i exp(L_i),   Y = sum_i exp(L_i - L) Y_i
//
// A row that sees no key in any part gives zeros and -inf. Sums are in double precision. `parts` is
// not empty. `output` and `log_sum_exp` [heads, len] are written unless they are null. Thread-safe.
void MergePartials(absl::Span<const PartialAttention> parts, int64_t heads, int64_t len,
                   int64_t dim, const MutableHeadsView& output, float* log_sum_exp);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_MERGE_PARTIALS_H_
