#include "server/engine/call_runner.h"

#include <utility>
#include <variant>
#include <vector>

#include "kernels/convert.h"
#include "kernels/merge_partials.h"
#include "server/engine/call_sequences.h"
#include "server/engine/copy_heads.h"
#include "server/engine/extra_keys.h"
#include "server/engine/turn_heads.h"

namespace attention::engine {
namespace {

// float32 numbers that the engine keeps between two steps, [rows, heads * dim].
MutableBatchView Kept(AlignedBuffer& buffer, int64_t rows, int64_t heads, int64_t dim) {
  buffer.Grow(rows * heads * dim);
  return TokenMajorBatch(reinterpret_cast<std::byte*>(buffer.data()), DataType::kFloat32, heads,
                         dim);
}

BatchView ReadOnly(const MutableBatchView& view) {
  return {attention::ReadOnly(view.first), view.batch_stride};
}

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

// Rows query_indices of each sequence of `from`, as `to`.
void PickQueries(const AttentionCall& call, const BatchView& from, int64_t heads, int64_t dim,
                 const MutableBatchView& to) {
  ForEachSequence(call, [&](int64_t b, const Before& before) {
    CopyRows(from.At(b, before.source_queries), heads, call.query_indices, dim,
             to.At(b, before.queries));
  });
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

absl::Status CallRunner::Run(const AttentionCall& call, Executor& executor) {
  if (const auto* tokens = std::get_if<TokensSource>(&call.source)) {
    return call.layer == nullptr ? RunTokens(call, *tokens, executor)
                                 : RunStored(call, *tokens, executor);
  }
  if (const auto* projected = std::get_if<ProjectedSource>(&call.source)) {
    return RunProjected(call, *projected, executor);
  }
  if (const auto* partials = std::get_if<PartialsSource>(&call.source)) {
    return RunPartials(call, *partials, executor);
  }
  return RunWeighted(call, std::get<WeightedSource>(call.source), executor);
}

absl::Status CallRunner::RunStored(const AttentionCall& call, TokensSource source,
                                   Executor& executor) {
  const absl::StatusOr<std::shared_ptr<const PackedLayer>> packed =
      layers_.Get(call.layer, call.compute_type, executor);
  if (!packed.ok()) return packed.status();
  source.projections = std::get<AttentionModel>((*packed)->model).projections;
  return RunTokens(call, source, executor);
}

absl::Status CallRunner::RunTokens(const AttentionCall& call, const TokensSource& source,
                                   Executor& executor) {
  if (source.projections.has_value()) return RunLearned(call, source, executor);
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

absl::Status CallRunner::RunLearned(const AttentionCall& call, const TokensSource& source,
                                    Executor& executor) {
  const CallShape& s = call.shape;
  const WantedResults& wanted = call.wanted;
  const auto& [q_proj, k_proj, v_proj, o_proj] = *source.projections;
  const Before totals = Totals(call);
  AlignedBuffer picked, q, k, v, heads;
  NumbersView tokens = source.tokens;
  if (call.PicksQueries()) {
    const MutableBatchView rows = Kept(picked, totals.queries, 1, source.d_model);
    PickQueries(call, TokenMajorBatch(tokens.data, tokens.type, 1, source.d_model), 1,
                source.d_model, rows);
    tokens = {rows.first.data, rows.first.type};
  }
  ProjectedSource projected;
  MutableBatchView query, key;
  std::vector<Projector::Work> works;
  if (wanted.NeedQuery()) {
    query = Kept(q, totals.queries, s.num_heads, s.head_dim);
    projected.query = ReadOnly(query);
    works.push_back({&q_proj, tokens, totals.queries, q.data()});
  }
  if (wanted.NeedKey()) {
    key = Kept(k, totals.current_keys, s.num_kv_heads, s.head_dim);
    projected.key = ReadOnly(key);
    works.push_back({&k_proj, source.context, totals.current_keys, k.data()});
  }
  if (wanted.NeedValue()) {
    projected.value = ReadOnly(Kept(v, totals.current_keys, s.num_kv_heads, s.v_head_dim));
    works.push_back({&v_proj, source.context, totals.current_keys, v.data()});
  }
  absl::Status status = projector_.Run(call.compute_type, works, executor);
  if (status.ok() && wanted.NeedQuery()) {
    status = TurnQueries(call, projected.query, query, executor);
  }
  if (status.ok() && wanted.NeedKey()) status = TurnKeys(call, projected.key, key, executor);
  if (!status.ok()) return status;

  if (!o_proj.has_value() || !wanted.output)
    return Attend(call, projected, call.outputs.output, executor);
  status =
      Attend(call, projected, Kept(heads, totals.queries, s.num_heads, s.v_head_dim), executor);
  if (!status.ok()) return status;
  const MutableHeadsView& output = call.outputs.output.first;
  const NumbersView x = {reinterpret_cast<const std::byte*>(heads.data()), DataType::kFloat32};
  const auto project = [&, &projection = *o_proj](float* y) {
    return projector_.Run(call.compute_type, {{&projection, x, totals.queries, y}}, executor);
  };
  if (output.type == DataType::kFloat32) return project(reinterpret_cast<float*>(output.data));
  const int64_t count = totals.queries * o_proj->weight.out;
  AlignedBuffer y(count);
  status = project(y.data());
  if (status.ok()) FromFloat32(y.data(), count, output.type, output.data);
  return status;
}

absl::Status CallRunner::RunProjected(const AttentionCall& call, const ProjectedSource& source,
                                      Executor& executor) {
  const CallShape& s = call.shape;
  const WantedResults& wanted = call.wanted;
  const Before totals = Totals(call);
  ProjectedSource projected = source;
  AlignedBuffer picked, q, k;
  if (call.PicksQueries()) {
    const MutableBatchView query = Kept(picked, totals.queries, s.num_heads, s.head_dim);
    PickQueries(call, source.query, s.num_heads, s.head_dim, query);
    projected.query = ReadOnly(query);
  }
  absl::Status status;
  if (call.rotary.has_value() && wanted.NeedQuery()) {
    const MutableBatchView query = Kept(q, totals.queries, s.num_heads, s.head_dim);
    status = TurnQueries(call, projected.query, query, executor);
    projected.query = ReadOnly(query);
  }
  if (status.ok() && call.rotary.has_value() && wanted.NeedKey()) {
    const MutableBatchView key = Kept(k, totals.current_keys, s.num_kv_heads, s.head_dim);
    status = TurnKeys(call, projected.key, key, executor);
    projected.key = ReadOnly(key);
  }
  return status.ok() ? Attend(call, projected, call.outputs.output, executor) : status;
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

absl::Status CallRunner::Attend(const AttentionCall& call, const ProjectedSource& projected,
                                const MutableBatchView& output, Executor& executor) {
  const CallShape& shape = call.shape;
  std::vector<AttentionSequence> sequences = Sequences(call);
  ForEachSequence(call, [&](int64_t b, const Before& before) {
    AttentionSequence& s = sequences[b];
    s.query = projected.query.At(b, before.queries);
    s.key = {.past = projected.past_key.At(b, 0),
             .current = projected.key.At(b, before.current_keys),
             .past_len = shape.past_len};
    s.value = {.past = projected.past_value.At(b, 0),
               .current = projected.value.At(b, before.current_keys),
               .past_len = shape.past_len};
    s.results = ResultsOf(call, output, b, before);
    ReturnHeads(call, b, before, s);
  });
  if (!call.wanted.NeedOperator()) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  if (shape.extra_keys == 0) return (*op)->Run(call.settings, sequences, executor);
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
