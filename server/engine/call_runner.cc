#include "server/engine/call_runner.h"

#include <utility>
#include <variant>

#include "kernels/attention/merge_partials.h"
#include "server/engine/apply_rotary.h"
#include "server/engine/batch_key.h"
#include "server/engine/call_buffers.h"
#include "server/engine/call_sequences.h"
#include "server/engine/copy_heads.h"
#include "server/engine/extra_keys.h"
#include "server/engine/learned_batch.h"
#include "server/engine/projected_sequences.h"

namespace attention::engine {
namespace {

double FloatBytes(int64_t rows, int64_t heads, int64_t dim) {
  return sizeof(float) * static_cast<double>(rows) * static_cast<double>(heads * dim);
}

// What RunProjected takes beside the operator.
WorkingMemory ProjectedMemory(const AttentionCall& call) {
  const CallShape& s = call.shape;
  const WantedResults& wanted = call.wanted;
  const SequenceOffsets totals = Totals(call);
  const double query = FloatBytes(totals.queries, s.num_heads, s.head_dim);
  WorkingMemory memory = ApplyRotaryMemory(call);
  if (call.PicksQueries()) memory.shared += query;
  if (call.rotary.has_value() && wanted.NeedQuery()) memory.shared += query;
  if (call.rotary.has_value() && wanted.NeedKey()) {
    memory.shared += FloatBytes(totals.current_keys, s.num_kv_heads, s.head_dim);
  }
  return memory;
}

// What RunPartials takes.
WorkingMemory PartialsMemory(const AttentionCall& call, const PartialsSource& source) {
  const size_t parts = source.parts.size();
  return {.shared = static_cast<double>(sizeof(SequenceOffsets) * call.sequences.size()),
          .workspace = MergePartialsBytes(parts, call.shape.v_head_dim) +
                       static_cast<double>(sizeof(PartialAttention) * parts)};
}

// Lists of the sequences: the operator's own, and those that they are made from.
double ListBytes(const AttentionCall& call) {
  const bool weighted = std::holds_alternative<WeightedSource>(call.source);
  const size_t other = weighted ? sizeof(WeightedSequence) : sizeof(AttentionSequence);
  return static_cast<double>((sizeof(AttentionSequence) + other) * call.sequences.size());
}

}  // namespace

absl::StatusOr<double> CallRunner::WorkingBytes(const AttentionCall& call, int threads) {
  absl::StatusOr<WorkingMemory> memory = Memory(call, threads);
  if (!memory.ok()) return memory.status();
  return WorkingMemory::kSmallBytes + memory->Bytes(threads);
}

absl::StatusOr<WorkingMemory> CallRunner::Memory(const AttentionCall& call, int threads) {
  if (const auto* const partials = std::get_if<PartialsSource>(&call.source)) {
    return PartialsMemory(call, *partials);
  }
  const auto* const tokens = std::get_if<TokensSource>(&call.source);
  absl::StatusOr<WorkingMemory> memory = ProjectedMemory(call);
  if (tokens != nullptr && tokens->projections.has_value()) {
    memory = LearnedBatch::Memory(call, projector_);
  }
  if (!memory.ok()) return memory.status();
  memory->shared += ListBytes(call);
  if (!call.wanted.NeedOperator()) return memory;
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  std::vector<AttentionSequence> sequences = Sequences(call);
  for (AttentionSequence& s : sequences) s.results = Placeholders(call);
  memory->shared += ExtraKeysBytes(sequences, call.shape.extra_keys, call.shape.num_heads);
  using Company = AttentionOp::Company;
  memory->Add((*op)->Memory(call.settings, sequences, threads,
                            MayJoinBatch(call) ? Company::kMayHaveSome : Company::kNone));
  return memory;
}

absl::Status CallRunner::Run(absl::Span<const AttentionCall* const> calls,
                             const PackedLayer* packed, Executor& executor) {
  if (packed != nullptr) {
    return RunLearned(calls, std::get<AttentionModel>(packed->model).projections, executor);
  }
  const AttentionCall& call = *calls[0];
  if (const auto* tokens = std::get_if<TokensSource>(&call.source)) {
    return RunTokens(call, *tokens, executor);
  }
  if (const auto* projected = std::get_if<ProjectedSource>(&call.source)) {
    return RunProjected(call, *projected, executor);
  }
  if (const auto* partials = std::get_if<PartialsSource>(&call.source)) {
    return RunPartials(call, *partials, executor);
  }
  return RunWeighted(call, std::get<WeightedSource>(call.source), executor);
}

absl::Status CallRunner::RunTokens(const AttentionCall& call, const TokensSource& source,
                                   Executor& executor) {
  if (source.projections.has_value()) return RunLearned({&call}, *source.projections, executor);
  const CallShape& s = call.shape;
  const BatchView context =
      TokenMajorBatch(source.context.data, source.context.type, s.num_kv_heads, s.head_dim);
  return RunProjected(
      call,
      {.query = TokenMajorBatch(source.tokens.data, source.tokens.type, s.num_heads, s.head_dim),
       .key = context,
       .value = context,
       .past_key = {},
       .past_value = {}},
      executor);
}

absl::Status CallRunner::RunLearned(absl::Span<const AttentionCall* const> calls,
                                    const Projections& projections, Executor& executor) {
  LearnedBatch batch(calls, projections, projector_, executor);
  if (absl::Status status = batch.Project(); !status.ok()) return status;
  absl::Status status = Attend(*calls[0], batch.Sequences(), executor);
  return status.ok() ? batch.Return() : status;
}

absl::Status CallRunner::RunProjected(const AttentionCall& call, const ProjectedSource& source,
                                      Executor& executor) {
  const CallShape& s = call.shape;
  const WantedResults& wanted = call.wanted;
  const SequenceOffsets totals = Totals(call);
  ProjectedSource projected = source;
  CallBuffers buffers(executor);
  if (call.PicksQueries()) {
    const MutableBatchView query = buffers.Rows(totals.queries, s.num_heads, s.head_dim);
    PickQueries(call, source.query, s.num_heads, s.head_dim, query);
    projected.query = ReadOnly(query);
  }
  absl::Status status;
  if (call.rotary.has_value() && wanted.NeedQuery()) {
    const MutableBatchView query = buffers.Rows(totals.queries, s.num_heads, s.head_dim);
    status = ApplyRotaryToQueries(call, projected.query, query, executor);
    projected.query = ReadOnly(query);
  }
  if (status.ok() && call.rotary.has_value() && wanted.NeedKey()) {
    const MutableBatchView key = buffers.Rows(totals.current_keys, s.num_kv_heads, s.head_dim);
    status = ApplyRotaryToKeys(call, projected.key, key, executor);
    projected.key = ReadOnly(key);
  }
  if (!status.ok()) return status;
  std::vector<AttentionSequence> sequences;
  sequences.reserve(call.sequences.size());
  AddSequences(call, projected, call.outputs.output, sequences);
  return Attend(call, std::move(sequences), executor);
}

absl::Status CallRunner::RunWeighted(const AttentionCall& call, const WeightedSource& source,
                                     Executor& executor) {
  const CallShape& s = call.shape;
  std::vector<WeightedSequence> sequences;
  sequences.reserve(call.sequences.size());
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    const HeadsView value = source.value.At(b, offsets.keys);
    AttentionSequence given;
    given.value.current = value;
    ReturnHeads(call, b, offsets, given);
    sequences.push_back(
        {.q_len = s.q_len,
         .kv_len = s.kv_len,
         .attention_weights = source.attention_weights.At(b, offsets.source_queries),
         .value = {.past = {}, .current = value},
         .query_positions = call.query_indices,
         .results = ResultsOf(call, call.outputs.output, b, offsets)});
  });
  if (!call.wanted.NeedOperator()) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  return (*op)->Combine(call.settings, sequences, executor);
}

absl::Status CallRunner::RunPartials(const AttentionCall& call, const PartialsSource& source,
                                     Executor& executor) {
  const CallShape& s = call.shape;
  std::vector<SequenceOffsets> offsets;
  offsets.reserve(call.sequences.size());
  ForEachSequence(call, [&](int64_t, const SequenceOffsets& b) { offsets.push_back(b); });
  return executor.ParallelFor(s.batch * s.num_heads, [&](int64_t task, Workspace&) {
    const int64_t b = task / s.num_heads, head = task % s.num_heads;
    const int64_t len = call.sequences[b].q_len;
    const int64_t source_len = call.ragged ? len : call.source_len;
    // Rows row, row + 1, ... of the result, from rows from, from + 1, ... of the parts.
    const auto merge = [&](int64_t from, int64_t row, int64_t count) {
      const int64_t logs = s.num_heads * offsets[b].source_queries + head * source_len + from;
      std::vector<PartialAttention> parts;
      parts.reserve(source.parts.size());
      for (const PartialsSource::Part& part : source.parts) {
        HeadsView output = part.output.At(b, offsets[b].source_queries);
        output.data = output.Row(head, from);
        parts.push_back({output, part.log_sum_exp + logs});
      }
      MutableHeadsView output = call.outputs.output.At(b, offsets[b].queries);
      if (output.data != nullptr) output.data = output.Row(head, row);
      float* log_sum_exp = call.outputs.log_sum_exp;
      if (log_sum_exp != nullptr)
        log_sum_exp += s.num_heads * offsets[b].queries + head * len + row;
      MergePartials(parts, 1, count, s.v_head_dim, output, log_sum_exp);
    };
    if (call.query_indices.empty()) merge(0, 0, len);
    int64_t row = 0;
    for (const int64_t from : call.query_indices) merge(from, row++, 1);
    return absl::OkStatus();
  });
}

absl::Status CallRunner::Attend(const AttentionCall& call, std::vector<AttentionSequence> sequences,
                                Executor& executor) {
  if (!call.wanted.NeedOperator()) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  if (call.shape.extra_keys == 0) return (*op)->Run(call.settings, sequences, executor);
  const auto& model = std::get<AttentionModel>(call.layer->model());
  const SequencesWithExtraKeys extended(model, call.settings, std::move(sequences));
  return (*op)->Run(extended.settings(), extended.sequences(), executor);
}

absl::StatusOr<std::shared_ptr<const AttentionOp>> CallRunner::OpFor(const AttentionCall& call) {
  const bool rounds = call.settings.normalization == Normalization::kSoftmax &&
                      !std::holds_alternative<WeightedSource>(call.source);
  return attention_ops_.Get({.head_dim = call.shape.head_dim,
                             .v_head_dim = call.shape.v_head_dim,
                             .compute_type = rounds ? call.compute_type : ComputeType::kFloat32});
}

}  // namespace attention::engine
