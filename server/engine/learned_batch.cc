#include "server/engine/learned_batch.h"

#include <cstring>

#include "kernels/simd/convert.h"
#include "server/engine/apply_rotary.h"
#include "server/engine/batch_key.h"
#include "server/engine/projected_sequences.h"

namespace attention::engine {
namespace {

float* Floats(const MutableBatchView& view) { return reinterpret_cast<float*>(view.first.data); }

// The rows from `rows` on.
MutableBatchView From(int64_t rows, MutableBatchView view) {
  view.first = view.At(0, rows);
  return view;
}

}  // namespace

LearnedBatch::LearnedBatch(absl::Span<const AttentionCall* const> calls,
                           const Projections& projections, Projector& projector, Executor& executor)
    : any_(*calls[0]),
      projections_(projections),
      projector_(projector),
      executor_(executor),
      buffers_(executor) {
  members_.reserve(calls.size());
  const int64_t d_model = projections.q.weight.in;
  for (const AttentionCall* call : calls) {
    const auto& source = std::get<TokensSource>(call->source);
    Member& m = members_.emplace_back(Member{*call, source.tokens, source.context, Totals(*call),
                                             all_.queries, all_.current_keys});
    all_.queries += m.totals.queries;
    all_.current_keys += m.totals.current_keys;
    if (call->PicksQueries()) {
      const MutableBatchView rows = buffers_.Rows(m.totals.queries, 1, d_model);
      PickQueries(*call, TokenMajorBatch(m.tokens.data, m.tokens.type, 1, d_model), 1, d_model,
                  rows);
      m.tokens = {rows.first.data, rows.first.type};
    }
    self_attention_ = self_attention_ && m.tokens.data == m.context.data;
  }
}

absl::StatusOr<WorkingMemory> LearnedBatch::Memory(const AttentionCall& call,
                                                   Projector& projector) {
  const auto& source = std::get<TokensSource>(call.source);
  const auto& [q, k, v, o] = *source.projections;
  const CallShape& s = call.shape;
  const WantedResults& wanted = call.wanted;
  const SequenceOffsets totals = Totals(call);
  const auto bytes = [](int64_t rows, int64_t width, DataType type = DataType::kFloat32) {
    return static_cast<double>(rows) * static_cast<double>(width * ByteSize(type));
  };
  NumbersView tokens = source.tokens;
  double kept = 0;
  if (call.PicksQueries()) {
    tokens = {nullptr, DataType::kFloat32};
    kept += bytes(totals.queries, q.weight.in);
  }
  if (MayJoinBatch(call)) {
    // Together copies both: one member with a context of its own is enough for that.
    kept += bytes(totals.queries, q.weight.in, tokens.type) +
            bytes(totals.current_keys, k.weight.in, source.context.type);
    tokens.data = nullptr;
  }
  std::vector<Projector::Work> before, after;
  if (wanted.NeedQuery()) {
    kept += bytes(totals.queries, s.num_heads * s.head_dim);
    before.push_back({&q, tokens, totals.queries});
  }
  if (wanted.NeedKey()) {
    kept += bytes(totals.current_keys, s.num_kv_heads * s.head_dim);
    before.push_back({&k, source.context, totals.current_keys});
  }
  if (wanted.NeedValue()) {
    kept += bytes(totals.current_keys, s.num_kv_heads * s.v_head_dim);
    before.push_back({&v, source.context, totals.current_keys});
  }
  if (wanted.output && o.has_value()) {
    kept += bytes(totals.queries, o->weight.in);
    const bool in_place = !MayJoinBatch(call) && call.types.result == DataType::kFloat32;
    if (!in_place) kept += bytes(totals.queries, o->weight.out);
    after.push_back({&*o, NumbersView(), totals.queries});
  }
  absl::StatusOr<WorkingMemory> memory = projector.Memory(call.compute_type, before);
  if (!memory.ok()) return memory.status();
  const absl::StatusOr<WorkingMemory> output = projector.Memory(call.compute_type, after);
  if (!output.ok()) return output.status();
  memory->Add(*output);
  memory->Add(ApplyRotaryMemory(call));
  memory->shared += kept;
  return memory;
}

// The members' rows of `of` one behind the other; where there is one member alone, its own.
NumbersView LearnedBatch::Together(NumbersView Member::*of, int64_t SequenceOffsets::*rows,
                                   int64_t all_rows, int64_t width) {
  const NumbersView first = members_[0].*of;
  if (members_.size() == 1) return first;
  std::byte* const all = buffers_.Bytes(all_rows * width, first.type);
  std::byte* to = all;
  for (const Member& member : members_) {
    const int64_t bytes = member.totals.*rows * width * ByteSize(first.type);
    std::memcpy(to, (member.*of).data, bytes);
    to += bytes;
  }
  return {all, first.type};
}

absl::Status LearnedBatch::Project() {
  const CallShape& s = any_.shape;
  const WantedResults& wanted = any_.wanted;
  const NumbersView tokens =
      Together(&Member::tokens, &SequenceOffsets::queries, all_.queries, projections_.q.weight.in);
  const NumbersView context = self_attention_
                                  ? tokens
                                  : Together(&Member::context, &SequenceOffsets::current_keys,
                                             all_.current_keys, projections_.k.weight.in);
  std::vector<Projector::Work> works;
  if (wanted.NeedQuery()) {
    query_ = buffers_.Rows(all_.queries, s.num_heads, s.head_dim);
    works.push_back({&projections_.q, tokens, all_.queries, Floats(query_)});
  }
  if (wanted.NeedKey()) {
    key_ = buffers_.Rows(all_.current_keys, s.num_kv_heads, s.head_dim);
    works.push_back({&projections_.k, context, all_.current_keys, Floats(key_)});
  }
  if (wanted.NeedValue()) {
    value_ = buffers_.Rows(all_.current_keys, s.num_kv_heads, s.v_head_dim);
    works.push_back({&projections_.v, context, all_.current_keys, Floats(value_)});
  }
  absl::Status status = projector_.Run(any_.compute_type, works, executor_);
  for (const Member& m : members_) {
    const MutableBatchView query = From(m.query_row, query_), key = From(m.key_row, key_);
    if (status.ok() && wanted.NeedQuery()) {
      status = ApplyRotaryToQueries(m.call, ReadOnly(query), query, executor_);
    }
    if (status.ok() && wanted.NeedKey())
      status = ApplyRotaryToKeys(m.call, ReadOnly(key), key, executor_);
  }
  return status;
}

std::vector<AttentionSequence> LearnedBatch::Sequences() {
  if (ProjectsOutput()) {
    heads_ = buffers_.Rows(all_.queries, any_.shape.num_heads, any_.shape.v_head_dim);
  }
  size_t count = 0;
  for (const Member& m : members_) count += m.call.sequences.size();
  std::vector<AttentionSequence> sequences;
  sequences.reserve(count);
  for (const Member& m : members_) {
    AddSequences(m.call,
                 {.query = ReadOnly(From(m.query_row, query_)),
                  .key = ReadOnly(From(m.key_row, key_)),
                  .value = ReadOnly(From(m.key_row, value_)),
                  .past_key = {},
                  .past_value = {}},
                 ProjectsOutput() ? From(m.query_row, heads_) : m.call.outputs.output, sequences);
  }
  return sequences;
}

absl::Status LearnedBatch::Return() {
  if (!ProjectsOutput()) return absl::OkStatus();
  const Linear& o = *projections_.o;
  const MutableHeadsView& output = any_.outputs.output.first;
  const bool in_place = members_.size() == 1 && output.type == DataType::kFloat32;
  float* const y = in_place ? reinterpret_cast<float*>(output.data)
                            : Floats(buffers_.Rows(all_.queries, 1, o.weight.out));
  absl::Status status =
      projector_.Run(any_.compute_type,
                     {{&o, {heads_.first.data, DataType::kFloat32}, all_.queries, y}}, executor_);
  if (!status.ok() || in_place) return status;
  for (const Member& m : members_) {
    const MutableHeadsView& to = m.call.outputs.output.first;
    FromFloat32(y + m.query_row * o.weight.out, m.totals.queries * o.weight.out, to.type, to.data);
  }
  return absl::OkStatus();
}

}  // namespace attention::engine
