#include "server/engine/steps/rotate.h"

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/attention/rotary.h"
#include "server/engine/call_sequences.h"

namespace attention::engine {
namespace {

// What one side of attention, queries or keys, is rotated from and to.
struct Side {
  int64_t heads;
  BatchView from;
  MutableBatchView to;
};

// Sets positions [queries that are computed].
void QueryPositions(const AttentionCall& call, int64_t* positions) {
  const absl::Span<const int64_t> given = call.rotary->query_positions;
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    const SequenceShape& s = call.sequences[b];
    for (int64_t i = 0; i < s.q_len; ++i) {
      const int64_t index = call.query_indices.empty() ? i : call.query_indices[i];
      *positions++ =
          given.empty() ? index + s.causal_offset : given[offsets.source_queries + index];
    }
  });
}

// `positions` and `sequences` have room for one a query and one a sequence.
absl::Status RotateQueries(const AttentionCall& call, const Side& side, int64_t* positions,
                           RotarySequence* sequences, Executor& executor) {
  QueryPositions(call, positions);
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    const int64_t len = call.sequences[b].q_len;
    sequences[b] = {.len = len,
                    .from = side.from.At(b, offsets.queries),
                    .to = side.to.At(b, offsets.queries),
                    .positions = absl::MakeConstSpan(positions + offsets.queries, len)};
  });
  return ApplyRotary(call.rotary->settings, side.heads, call.shape.head_dim,
                     absl::MakeConstSpan(sequences, call.shape.batch), executor);
}

absl::Status RotateKeys(const AttentionCall& call, const Side& side, RotarySequence* sequences,
                        Executor& executor) {
  const absl::Span<const int64_t> given = call.rotary->key_positions;
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    sequences[b] = {.len = call.sequences[b].kv_len - call.shape.past_len,
                    .from = side.from.At(b, offsets.current_keys),
                    .to = side.to.At(b, offsets.current_keys),
                    .positions = given.empty() ? given : given.subspan(offsets.current_keys),
                    .first_position = call.shape.past_len};
  });
  return ApplyRotary(call.rotary->settings, side.heads, call.shape.head_dim,
                     absl::MakeConstSpan(sequences, call.shape.batch), executor);
}

// Where `view` is rotated to: its own rows where it has such, or new ones, which it then is.
MutableBatchView RotatedTo(int64_t rows, int64_t heads, int64_t dim, Plan& plan,
                           std::optional<MutableBatchView>& own, BatchView& view) {
  if (!own.has_value()) own = ReserveRows(rows, heads, dim, plan);
  view = ReadOnly(*own);
  return *own;
}

}  // namespace

void AddRotate(Member& member, Executor* executor, Plan& plan) {
  const AttentionCall& call = *member.call;
  const bool queries = call.wanted.NeedQuery(), keys = call.wanted.NeedKey();
  if (!call.rotary.has_value() || !(queries || keys)) return;
  const CallShape& s = call.shape;
  const int64_t heads = s.num_heads, kv_heads = s.num_kv_heads;
  Side query = {heads, member.query, {}}, key = {kv_heads, member.key, {}};
  if (queries) {
    query.to =
        RotatedTo(member.totals.queries, heads, s.head_dim, plan, member.own_query, member.query);
  }
  if (keys) {
    key.to = RotatedTo(member.totals.current_keys, kv_heads, s.head_dim, plan, member.own_key,
                       member.key);
  }
  auto* const positions = plan.Reserve<int64_t>(queries ? member.totals.queries : 0);
  auto* const sequences = plan.ReserveList<RotarySequence>(s.batch);
  if (plan.is_counted()) {
    plan.Count(RotaryMemory(call.rotary->settings, s.head_dim, static_cast<size_t>(s.batch)));
  }
  plan.Add("rotate", [=, &call] {
    absl::Status status;
    if (queries) status = RotateQueries(call, query, positions, sequences, *executor);
    if (keys && status.ok()) status = RotateKeys(call, key, sequences, *executor);
    return status;
  });
}

}  // namespace attention::engine
