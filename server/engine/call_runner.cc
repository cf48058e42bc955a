#include "server/engine/call_runner.h"

#include <utility>
#include <variant>

#include "kernels/merge_partials.h"
#include "server/engine/call_sequences.h"
#include "server/engine/copy_heads.h"
#include "server/engine/extra_keys.h"
#include "server/engine/kept_numbers.h"
#include "server/engine/learned_batch.h"
#include "server/engine/projected_sequences.h"
#include "server/engine/turn_heads.h"

namespace attention::engine {
namespace {

// Floats that Run keeps between the steps of `call`, as the functions below allocate them.
double KeptFloats(const AttentionCall& call) {
  const CallShape& s = call.shape;
  const WantedResults& wanted = call.wanted;
  const Before totals = Totals(call);
  const double q_rows = 1.0 * totals.queries, kv_rows = 1.0 * totals.current_keys;
  const double query = wanted.NeedQuery() ? q_rows * s.num_heads * s.head_dim : 0;
  const double key = wanted.NeedKey() ? kv_rows * s.num_kv_heads * s.head_dim : 0;
  if (const auto* const source = std::get_if<TokensSource>(&call.source);
      source != nullptr && source->projections.has_value()) {
    const Projections& projections = *source->projections;
    double floats = query + key + (call.PicksQueries() ? q_rows * source->d_model : 0);
    if (wanted.NeedValue()) floats += kv_rows * projections.v.weight.out;
    if (wanted.output && projections.o) {
      floats += q_rows * (projections.o->weight.in + projections.o->weight.out);
    }
    return floats;
  }
  double floats = call.PicksQueries() ? query : 0;
  if (call.rotary.has_value()) floats += query + key;
  return floats;
}

}  // namespace

absl::StatusOr<double> CallRunner::WorkingBytes(const AttentionCall& call, int threads) {
  const absl::StatusOr<double> projecting = projector_.WorkingBytes(call, threads);
  if (!projecting.ok()) return projecting.status();
  const double bytes = sizeof(float) * KeptFloats(call) + *projecting;
  if (!call.wanted.NeedOperator() || std::holds_alternative<PartialsSource>(call.source)) {
    return bytes;
  }
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  std::vector<AttentionSequence> sequences = Sequences(call);
  for (AttentionSequence& s : sequences) s.results = Placeholders(call.wanted);
  return bytes + ExtraKeysBytes(sequences, call.shape.extra_keys, call.shape.num_heads) +
         (*op)->WorkingBytes(call.settings, sequences, threads);
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
  const Before totals = Totals(call);
  ProjectedSource projected = source;
  KeptNumbers kept(executor);
  if (call.PicksQueries()) {
    const MutableBatchView query = kept.Rows(totals.queries, s.num_heads, s.head_dim);
    PickQueries(call, source.query, s.num_heads, s.head_dim, query);
    projected.query = ReadOnly(query);
  }
  absl::Status status;
  if (call.rotary.has_value() && wanted.NeedQuery()) {
    const MutableBatchView query = kept.Rows(totals.queries, s.num_heads, s.head_dim);
    status = TurnQueries(call, projected.query, query, executor);
    projected.query = ReadOnly(query);
  }
  if (status.ok() && call.rotary.has_value() && wanted.NeedKey()) {
    const MutableBatchView key = kept.Rows(totals.current_keys, s.num_kv_heads, s.head_dim);
    status = TurnKeys(call, projected.key, key, executor);
    projected.key = ReadOnly(key);
  }
  if (!status.ok()) return status;
  std::vector<AttentionSequence> sequences;
  AddSequences(call, projected, call.outputs.output, sequences);
  return Attend(call, std::move(sequences), executor);
}

absl::Status CallRunner::RunWeighted(const AttentionCall& call, const WeightedSource& source,
                                     Executor& executor) {
  const CallShape& s = call.shape;
  std::vector<WeightedSequence> sequences;
  ForEachSequence(call, [&](int64_t b, const Before& before) {
    const HeadsView value = source.value.At(b, before.keys);
    AttentionSequence given;
    given.value.current = value;
    ReturnHeads(call, b, before, given);
    sequences.push_back({.q_len = s.q_len,
                         .kv_len = s.kv_len,
                         .attention_weights = source.attention_weights.At(b, before.source_queries),
                         .value = {.past = {}, .current = value},
                         .query_positions = call.query_indices,
                         .results = ResultsOf(call, call.outputs.output, b, before)});
  });
  if (!call.wanted.NeedOperator()) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  return (*op)->Combine(call.settings, sequences, executor);
}

absl::Status CallRunner::RunPartials(const AttentionCall& call, const PartialsSource& source,
                                     Executor& executor) {
  const CallShape& s = call.shape;
  std::vector<Before> before;
  ForEachSequence(call, [&](int64_t, const Before& b) { before.push_back(b); });
  return executor.ParallelFor(s.batch * s.num_heads, [&](int64_t task, Workspace&) {
    const int64_t b = task / s.num_heads, head = task % s.num_heads;
    const int64_t len = call.sequences[b].q_len;
    const int64_t row = s.num_heads * before[b].queries + head * len;
    std::vector<PartialAttention> parts;
    for (const PartialsSource::Part& part : source.parts) {
      HeadsView output = part.output.At(b, before[b].queries);
      output.data = output.Row(head, 0);
      parts.push_back({output, part.log_sum_exp + row});
    }
    MutableHeadsView output = call.outputs.output.At(b, before[b].queries);
    if (output.data != nullptr) output.data = output.Row(head, 0);
    float* const log_sum_exp = call.outputs.log_sum_exp;
    MergePartials(parts, 1, len, s.v_head_dim, output,
                  log_sum_exp != nullptr ? log_sum_exp + row : nullptr);
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
