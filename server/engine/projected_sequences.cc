#include "server/engine/projected_sequences.h"

#include "server/engine/call_sequences.h"
#include "server/engine/copy_heads.h"

namespace attention::engine {

void PickQueries(const AttentionCall& call, const BatchView& from, int64_t heads, int64_t dim,
                 const MutableBatchView& to) {
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    CopyRows(from.At(b, offsets.source_queries), heads, call.query_indices, dim,
             to.At(b, offsets.queries));
  });
}

void AddSequences(const AttentionCall& call, const ProjectedSource& projected,
                  const MutableBatchView& output, std::vector<AttentionSequence>& all) {
  std::vector<AttentionSequence> sequences = Sequences(call);
  const int64_t past_len = call.shape.past_len;
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    AttentionSequence& s = sequences[b];
    s.query = projected.query.At(b, offsets.queries);
    s.key = {.past = projected.past_key.At(b, 0),
             .current = projected.key.At(b, offsets.current_keys),
             .past_len = past_len};
    s.value = {.past = projected.past_value.At(b, 0),
               .current = projected.value.At(b, offsets.current_keys),
               .past_len = past_len};
    s.results = ResultsOf(call, output, b, offsets);
    ReturnHeads(call, b, offsets, s);
  });
  all.insert(all.end(), sequences.begin(), sequences.end());
}

}  // namespace attention::engine
