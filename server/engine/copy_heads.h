#ifndef ATTENTION_SERVER_ENGINE_COPY_HEADS_H_
#define ATTENTION_SERVER_ENGINE_COPY_HEADS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/memory/heads_view.h"
#include "server/engine/attention_call.h"
#include "server/engine/call_sequences.h"

namespace attention::engine {

// Rows rows[0], rows[1], ... of each head of `from`, as [heads, number of rows, dim], converted
// where the types differ. Thread-safe.
void CopyRows(const HeadsView& from, int64_t heads, absl::Span<const int64_t> rows, int64_t dim,
              const MutableHeadsView& to);

// Query, key, value and present key and value of sequence `b` into those places of call.outputs
// that there are.
void ReturnHeads(const AttentionCall& call, int64_t b, const SequenceOffsets& offsets,
                 const AttentionSequence& sequence);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_COPY_HEADS_H_
