#ifndef ATTENTION_SERVER_ENGINE_CALL_SEQUENCES_H_
#define ATTENTION_SERVER_ENGINE_CALL_SEQUENCES_H_

#include <cstdint>

#include "kernels/attention/attention_problem.h"
#include "server/engine/attention_call.h"

// A call as the kernels see it: sequence by sequence.
namespace attention::engine {

// What the sequences before one hold together: where its part of each tensor begins.
struct SequenceOffsets {
  int64_t queries = 0;         // that are computed
  int64_t source_queries = 0;  // that the source holds
  int64_t current_keys = 0;    // the past not included
  int64_t keys = 0;            // the past included
  int64_t scores = 0;          // queries times keys, a stored layer's own included
};

// Calls visit(b, SequenceOffsets) for each sequence, and returns what all of them hold together.
template <typename Visit>
SequenceOffsets ForEachSequence(const AttentionCall& call, Visit visit) {
  SequenceOffsets offsets;
  for (int64_t b = 0; b < call.shape.batch; ++b) {
    visit(b, static_cast<const SequenceOffsets&>(offsets));
    const SequenceShape& s = call.sequences[b];
    offsets.queries += s.q_len;
    offsets.source_queries += call.ragged ? s.q_len : call.source_len;
    offsets.current_keys += s.kv_len - call.shape.past_len;
    offsets.keys += s.kv_len;
    offsets.scores += s.q_len * (s.kv_len + call.shape.extra_keys);
  }
  return offsets;
}

inline SequenceOffsets Totals(const AttentionCall& call) {
  return ForEachSequence(call, [](int64_t, const SequenceOffsets&) {});
}

// Sequence `b` of a call: its lengths, mask and positions. Queries, keys, values and results are
// the caller's to set.
AttentionSequence SequenceOf(const AttentionCall& call, int64_t b);

// Where the operator's results for sequence `b` go, with `output` in place of the call's own.
AttentionResults ResultsOf(const AttentionCall& call, const MutableBatchView& output, int64_t b,
                           const SequenceOffsets& offsets);

// Results that the call wants, before there is memory for them: each stands at an address that
// nobody reads.
AttentionResults Placeholders(const AttentionCall& call);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_CALL_SEQUENCES_H_
