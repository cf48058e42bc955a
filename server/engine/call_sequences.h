#ifndef ATTENTION_SERVER_ENGINE_CALL_SEQUENCES_H_
#define ATTENTION_SERVER_ENGINE_CALL_SEQUENCES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/attention_problem.h"
#include "server/engine/attention_call.h"

// A call as the kernels see it: sequence by sequence.
namespace attention::engine {

// The sequences of a call: lengths, masks and positions. Queries, keys, values and results are the
// caller's to set.
std::vector<AttentionSequence> Sequences(const AttentionCall& call);

// Where the operator's results for sequence `b` go, with `output` in place of the call's own.
AttentionResults ResultsOf(const AttentionCall& call, const MutableBatchView& output, int64_t b);

// Results that are wanted, before there is memory for them: each stands at an address that nobody
// reads.
AttentionResults Placeholders(const WantedResults& wanted);

// Rows `rows` of each head of `from`, all float32, as [batch, heads, rows, dim]; `to` has room for
// them.
void CopyRows(const BatchView& from, absl::Span<const int64_t> rows, int64_t batch, int64_t heads,
              int64_t dim, float* to);

// All `len` rows of each head of `from`, in the same way.
void CopyHeads(const BatchView& from, int64_t batch, int64_t heads, int64_t len, int64_t dim,
               float* to);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_CALL_SEQUENCES_H_
