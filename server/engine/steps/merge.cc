#include "server/engine/steps/merge.h"

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "kernels/attention/merge_partials.h"
#include "kernels/threads/executor.h"
#include "server/engine/call_sequences.h"

namespace attention::engine {
namespace {

// Rows to, to + 1, ... of one head of one sequence of the result, from rows from, from + 1, ... of
// the parts.
struct Rows {
  int64_t sequence, head;
  int64_t from, to, count;
};

void MergeRows(const AttentionCall& call, const SequenceOffsets& offsets, const Rows& rows) {
  const auto& source = std::get<PartialsSource>(call.source);
  const int64_t heads = call.shape.num_heads, q_len = call.sequences[rows.sequence].q_len;
  const int64_t source_len = call.ragged ? q_len : call.source_len;
  std::vector<PartialAttention> parts;
  parts.reserve(source.parts.size());
  for (const PartialsSource::Part& part : source.parts) {
    HeadsView output = part.output.At(rows.sequence, offsets.source_queries);
    output.data = output.Row(rows.head, rows.from);
    parts.push_back({output, part.log_sum_exp + heads * offsets.source_queries +
                                 rows.head * source_len + rows.from});
  }
  MutableHeadsView output = call.outputs.output.At(rows.sequence, offsets.queries);
  if (output.data != nullptr) output.data = output.Row(rows.head, rows.to);
  float* log_sum_exp = call.outputs.log_sum_exp();
  if (log_sum_exp != nullptr) log_sum_exp += heads * offsets.queries + rows.head * q_len + rows.to;
  MergePartials(parts, 1, rows.count, call.shape.v_head_dim, output, log_sum_exp);
}

// `offsets` has one a sequence.
absl::Status Merge(const AttentionCall& call, SequenceOffsets* offsets, Executor& executor) {
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& before) { offsets[b] = before; });
  const int64_t heads = call.shape.num_heads;
  return executor.ParallelFor(call.shape.batch * heads, [&](int64_t task, Workspace&) {
    const int64_t b = task / heads, head = task % heads;
    if (call.query_indices.empty()) {
      MergeRows(call, offsets[b], {b, head, 0, 0, call.sequences[b].q_len});
    }
    int64_t to = 0;
    for (const int64_t from : call.query_indices) {
      MergeRows(call, offsets[b], {b, head, from, to++, 1});
    }
    return absl::OkStatus();
  });
}

}  // namespace

void AddMerge(const AttentionCall& call, Plan& plan) {
  auto* const offsets = plan.ReserveList<SequenceOffsets>(call.shape.batch);
  if (plan.is_counted()) {
    const size_t parts = std::get<PartialsSource>(call.source).parts.size();
    plan.Count({.shared = 0,
                .workspace = MergePartialsBytes(parts, call.shape.v_head_dim) +
                             static_cast<double>(sizeof(PartialAttention) * parts)});
  }
  plan.Add("merge",
           [&call, offsets](Executor& executor) { return Merge(call, offsets, executor); });
}

}  // namespace attention::engine
