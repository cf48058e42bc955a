#ifndef ATTENTION_SERVER_ENGINE_PROJECTED_SEQUENCES_H_
#define ATTENTION_SERVER_ENGINE_PROJECTED_SEQUENCES_H_

#include <cstdint>
#include <vector>

#include "kernels/attention/attention_problem.h"
#include "server/engine/attention_call.h"

// From the rows of a call's queries, keys and values to the sequences that the operator takes.
namespace attention::engine {

inline BatchView ReadOnly(const MutableBatchView& view) {
  return {attention::ReadOnly(view.first), view.batch_stride};
}

// Rows query_indices of each sequence of `from`, as `to`.
void PickQueries(const AttentionCall& call, const BatchView& from, int64_t heads, int64_t dim,
                 const MutableBatchView& to);

// Appends the sequences of `call` to `all`. `projected` holds its queries, those picked alone, and
// its keys and values, rotated; what the call does not need is null. Queries, keys and values that
// are wanted are returned now; the attention's output goes to `output`.
void AddSequences(const AttentionCall& call, const ProjectedSource& projected,
                  const MutableBatchView& output, std::vector<AttentionSequence>& all);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_PROJECTED_SEQUENCES_H_
