#include "server/engine/apply_rotary.h"

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/attention/rotary.h"
#include "server/engine/call_sequences.h"

namespace attention::engine {
namespace {

// The position of each query that is computed.
std::vector<int64_t> QueryPositions(const AttentionCall& call) {
  const absl::Span<const int64_t> given = call.rotary->query_positions;
  std::vector<int64_t> positions;
  positions.reserve(Totals(call).queries);
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    const SequenceShape& s = call.sequences[b];
    for (int64_t i = 0; i < s.q_len; ++i) {
      const int64_t index = call.query_indices.empty() ? i : call.query_indices[i];
      positions.push_back(given.empty() ? index + s.causal_offset
                                        : given[offsets.source_queries + index]);
    }
  });
  return positions;
}

}  // namespace

WorkingMemory ApplyRotaryMemory(const AttentionCall& call) {
  const bool turns = call.wanted.NeedQuery() || call.wanted.NeedKey();
  if (!call.rotary.has_value() || !turns) return {};
  const auto batch = static_cast<size_t>(call.shape.batch);
  WorkingMemory memory = RotaryMemory(call.rotary->settings, call.shape.head_dim, batch);
  memory.shared += static_cast<double>(sizeof(RotarySequence) * batch) +
                   sizeof(int64_t) * static_cast<double>(Totals(call).queries);
  return memory;
}

absl::Status ApplyRotaryToQueries(const AttentionCall& call, const BatchView& from,
                                  const MutableBatchView& to, Executor& executor) {
  if (!call.rotary.has_value()) return absl::OkStatus();
  const std::vector<int64_t> positions = QueryPositions(call);
  std::vector<RotarySequence> sequences;
  sequences.reserve(call.shape.batch);
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    sequences.push_back({.len = call.sequences[b].q_len,
                         .from = from.At(b, offsets.queries),
                         .to = to.At(b, offsets.queries),
                         .positions = absl::MakeConstSpan(positions).subspan(offsets.queries)});
  });
  return ApplyRotary(call.rotary->settings, call.shape.num_heads, call.shape.head_dim, sequences,
                     executor);
}

absl::Status ApplyRotaryToKeys(const AttentionCall& call, const BatchView& from,
                               const MutableBatchView& to, Executor& executor) {
  if (!call.rotary.has_value()) return absl::OkStatus();
  const absl::Span<const int64_t> given = call.rotary->key_positions;
  std::vector<RotarySequence> sequences;
  sequences.reserve(call.shape.batch);
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    sequences.push_back({.len = call.sequences[b].kv_len - call.shape.past_len,
                         .from = from.At(b, offsets.current_keys),
                         .to = to.At(b, offsets.current_keys),
                         .positions = given.empty() ? given : given.subspan(offsets.current_keys),
                         .first_position = call.shape.past_len});
  });
  return ApplyRotary(call.rotary->settings, call.shape.num_kv_heads, call.shape.head_dim, sequences,
                     executor);
}

}  // namespace attention::engine
