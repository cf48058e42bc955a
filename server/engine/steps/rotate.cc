#include "server/engine/steps/rotate.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/attention/rotary.h"
#include "kernels/threads/executor.h"
#include "server/engine/call_sequences.h"

namespace attention::engine {
namespace {

// A member's call, and what its queries and keys are rotated from and to; null where they are not
// needed.
struct Rotation {
  const AttentionCall* call = nullptr;
  BatchView query_from, key_from;
  MutableBatchView query_to, key_to;
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

// `positions` and `sequences` have room for one for each query and one for each sequence.
absl::Status RotateQueries(const Rotation& rotation, int64_t* positions, RotarySequence* sequences,
                           Executor& executor) {
  const AttentionCall& call = *rotation.call;
  if (!call.wanted.NeedQuery()) return absl::OkStatus();
  QueryPositions(call, positions);
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    const int64_t len = call.sequences[b].q_len;
    sequences[b] = {.len = len,
                    .from = rotation.query_from.At(b, offsets.queries),
                    .to = rotation.query_to.At(b, offsets.queries),
                    .positions = absl::MakeConstSpan(positions + offsets.queries, len)};
  });
  return ApplyRotary(call.rotary->settings, call.shape.num_heads, call.shape.head_dim,
                     absl::MakeConstSpan(sequences, call.shape.batch), executor);
}

absl::Status RotateKeys(const Rotation& rotation, RotarySequence* sequences, Executor& executor) {
  const AttentionCall& call = *rotation.call;
  if (!call.wanted.NeedKey()) return absl::OkStatus();
  const absl::Span<const int64_t> given = call.rotary->key_positions;
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    sequences[b] = {.len = call.sequences[b].kv_len - call.shape.past_len,
                    .from = rotation.key_from.At(b, offsets.current_keys),
                    .to = rotation.key_to.At(b, offsets.current_keys),
                    .positions = given.empty() ? given : given.subspan(offsets.current_keys),
                    .first_position = call.shape.past_len};
  });
  return ApplyRotary(call.rotary->settings, call.shape.num_kv_heads, call.shape.head_dim,
                     absl::MakeConstSpan(sequences, call.shape.batch), executor);
}

// Where rows are rotated to: their own memory where it is the plan's, or new rows, which `view`
// then is.
MutableBatchView RotatedTo(int64_t rows, int64_t heads, int64_t dim, Plan& plan,
                           std::optional<MutableBatchView>& own, BatchView& view) {
  if (!own.has_value()) own = ReserveRows(rows, heads, dim, plan);
  view = ReadOnly(*own);
  return *own;
}

Rotation RotationOf(Member& member, Plan& plan) {
  const AttentionCall& call = *member.call;
  const CallShape& s = call.shape;
  Rotation rotation = {&call, member.query, member.key, {}, {}};
  if (call.wanted.NeedQuery()) {
    rotation.query_to = RotatedTo(member.totals.queries, s.num_heads, s.head_dim, plan,
                                  member.own_query, member.query);
  }
  if (call.wanted.NeedKey()) {
    rotation.key_to = RotatedTo(member.totals.current_keys, s.num_kv_heads, s.head_dim, plan,
                                member.own_key, member.key);
  }
  return rotation;
}

}  // namespace

void AddRotate(absl::Span<Member> members, Plan& plan) {
  std::vector<Rotation> rotations;
  int64_t most_queries = 0, most_sequences = 0;  // of one member
  for (Member& member : members) {
    const AttentionCall& call = *member.call;
    if (!call.rotary.has_value() || !(call.wanted.NeedQuery() || call.wanted.NeedKey())) continue;
    rotations.push_back(RotationOf(member, plan));
    most_queries = std::max(most_queries, call.wanted.NeedQuery() ? member.totals.queries : 0);
    most_sequences = std::max(most_sequences, call.shape.batch);
    if (plan.is_counted()) {
      plan.Count(RotaryMemory(call.rotary->settings, call.shape.head_dim,
                              static_cast<size_t>(call.shape.batch)));
    }
  }
  if (rotations.empty()) return;
  auto* const positions = plan.Reserve<int64_t>(most_queries);
  auto* const sequences = plan.ReserveList<RotarySequence>(most_sequences);
  plan.Add("rotate", [rotations = std::move(rotations), positions, sequences](Executor& executor) {
    absl::Status status;
    for (const Rotation& rotation : rotations) {
      if (status.ok()) status = RotateQueries(rotation, positions, sequences, executor);
      if (status.ok()) status = RotateKeys(rotation, sequences, executor);
    }
    return status;
  });
}

}  // namespace attention::engine
