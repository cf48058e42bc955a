#include "server/engine/attention_plan.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <variant>

#include "kernels/simd/convert.h"
#include "server/engine/batch_key.h"
#include "server/engine/call_sequences.h"
#include "server/engine/steps/extra_keys.h"
#include "server/engine/steps/gather.h"
#include "server/engine/steps/merge.h"
#include "server/engine/steps/project.h"
#include "server/engine/steps/return_heads.h"
#include "server/engine/steps/rotate.h"

namespace attention::engine {
namespace {

float* Floats(const MutableBatchView& view) { return reinterpret_cast<float*>(view.first.data); }

// The projections that come with the call, or null.
const Projections* Sent(const AttentionCall& call) {
  const auto* const source = std::get_if<TokensSource>(&call.source);
  return source != nullptr && source->projections.has_value() ? &*source->projections : nullptr;
}

std::vector<Member> Members(absl::Span<const AttentionCall* const> calls) {
  std::vector<Member> members;
  members.reserve(calls.size());
  int64_t queries = 0, keys = 0;
  for (const AttentionCall* call : calls) {
    Member& m = members.emplace_back();
    m.call = call;
    m.totals = Totals(*call);
    m.first_query = std::exchange(queries, queries + m.totals.queries);
    m.first_key = std::exchange(keys, keys + m.totals.current_keys);
    m.output = call->outputs.output;
  }
  return members;
}

}  // namespace

AttentionPlan::AttentionPlan(const AttentionCall& call, Operators& operators, int threads)
    : any_(call),
      operators_(operators),
      threads_(threads),
      together_(MayJoinBatch(call)),
      projections_(Sent(call)),
      members_(Members({&call})),
      queries_(members_[0].totals.queries),
      current_keys_(members_[0].totals.current_keys) {}

AttentionPlan::AttentionPlan(absl::Span<const AttentionCall* const> calls,
                             const PackedLayer* packed, Operators& operators, Executor& executor)
    : any_(*calls[0]),
      operators_(operators),
      threads_(executor.threads()),
      together_(calls.size() > 1),
      projections_(packed == nullptr ? Sent(any_)
                                     : &std::get<AttentionModel>(packed->model).projections),
      members_(Members(calls)),
      plan_(executor),
      queries_(members_.back().first_query + members_.back().totals.queries),
      current_keys_(members_.back().first_key + members_.back().totals.current_keys) {}

absl::Status AttentionPlan::Write() {
  if (std::holds_alternative<PartialsSource>(any_.source)) {
    AddMerge(any_, plan_);
    return absl::OkStatus();
  }
  if (std::holds_alternative<WeightedSource>(any_.source)) return AddCombine();
  if (projections_ == nullptr) {
    TakeGiven();
  } else {
    AddGather();
    if (absl::Status status = AddProjections(); !status.ok()) return status;
  }
  AddRotate(absl::MakeSpan(members_), plan_);
  AddReturnHeads();
  return any_.wanted.NeedOperator() ? AddAttend() : absl::OkStatus();
}

// Queries, keys and values that the call brings; those of tokens that are not projected are the
// tokens themselves.
void AttentionPlan::TakeGiven() {
  const CallShape& s = any_.shape;
  Member& m = members_[0];
  if (const auto* const given = std::get_if<ProjectedSource>(&any_.source)) {
    m.query = given->query;
    m.key = given->key;
    m.value = given->value;
    m.past_key = given->past_key;
    m.past_value = given->past_value;
  } else {
    const auto& [tokens, context, d_model, projections] = std::get<TokensSource>(any_.source);
    m.query = TokenMajorBatch(tokens.data, tokens.type, s.num_heads, s.head_dim);
    m.key = m.value = TokenMajorBatch(context.data, context.type, s.num_kv_heads, s.head_dim);
  }
  if (!any_.PicksQueries()) return;
  const MutableBatchView picked = ReserveRows(queries_, s.num_heads, s.head_dim, plan_);
  plan_.Add("gather", [this, all = m.query, picked](Executor&) {
    PickQueries(any_, all, any_.shape.num_heads, any_.shape.head_dim, picked);
    return absl::OkStatus();
  });
  m.own_query = picked;
  m.query = ReadOnly(picked);
}

// The rows that are projected: those of one call where they lie, else those of all calls one behind
// the other.
void AttentionPlan::AddGather() {
  const auto picks = [](const Member& m) { return m.call->PicksQueries(); };
  const auto is_self_attention = [](const Member& m) {
    const auto& source = std::get<TokensSource>(m.call->source);
    return !m.call->PicksQueries() && source.tokens.data == source.context.data;
  };
  const ResultSet& wanted = any_.wanted;
  const bool any_picks = std::any_of(members_.begin(), members_.end(), picks);
  // One member with a context of its own is enough: counted as if there were one.
  self_attention_ = !(plan_.is_counted() && together_) &&
                    std::all_of(members_.begin(), members_.end(), is_self_attention);
  tokens_ = std::get<TokensSource>(any_.source).tokens;
  context_ = std::get<TokensSource>(any_.source).context;
  const bool gathers_tokens = wanted.NeedQuery() && (together_ || any_picks);
  const bool gathers_context =
      (wanted.NeedKey() || wanted.NeedValue()) && together_ && !ReadsTokensAsContext();
  std::byte *tokens = nullptr, *context = nullptr;
  if (gathers_tokens) {
    if (any_picks) tokens_.type = DataType::kFloat32;
    const int64_t count = queries_ * projections_->q.weight.in;
    tokens_.data = tokens = plan_.Reserve<std::byte>(count * ByteSize(tokens_.type));
  }
  if (gathers_context) {
    const int64_t count = current_keys_ * projections_->k.weight.in;
    context_.data = context = plan_.Reserve<std::byte>(count * ByteSize(context_.type));
  }
  if (!gathers_tokens && !gathers_context) return;
  plan_.Add("gather", [this, tokens, context](Executor&) {
    std::byte *next_tokens = tokens, *next_context = context;
    for (const Member& m : members_) {
      if (tokens != nullptr) next_tokens = GatherTokens(m, next_tokens);
      if (context != nullptr) next_context = GatherContext(m, next_context);
    }
    return absl::OkStatus();
  });
}

absl::Status AttentionPlan::AddProjections() {
  const CallShape& s = any_.shape;
  const ResultSet& wanted = any_.wanted;
  const auto& [q, k, v, o] = *projections_;
  const NumbersView* const context = ReadsTokensAsContext() ? &tokens_ : &context_;
  MutableBatchView query, key, value;  // [rows of all calls, heads * dim]
  std::vector<Projection> projections;
  if (wanted.NeedQuery()) {
    query = ReserveRows(queries_, s.num_heads, s.head_dim, plan_);
    projections.push_back({&q, &tokens_, queries_, Floats(query)});
  }
  if (wanted.NeedKey()) {
    key = ReserveRows(current_keys_, s.num_kv_heads, s.head_dim, plan_);
    projections.push_back({&k, context, current_keys_, Floats(key)});
  }
  if (wanted.NeedValue()) {
    value = ReserveRows(current_keys_, s.num_kv_heads, s.v_head_dim, plan_);
    projections.push_back({&v, context, current_keys_, Floats(value)});
  }
  for (Member& m : members_) {
    m.own_query = RowsFrom(m.first_query, query);
    m.own_key = RowsFrom(m.first_key, key);
    m.query = ReadOnly(*m.own_query);
    m.key = ReadOnly(*m.own_key);
    m.value = ReadOnly(RowsFrom(m.first_key, value));
  }
  return engine::AddProjections("project", any_.compute_type, projections, operators_, plan_);
}

void AttentionPlan::AddReturnHeads() {
  if (!any_.wanted.HasHeads()) return;
  plan_.Add("return heads", [this](Executor&) {
    for (const Member& m : members_) ReturnHeads(m);
    return absl::OkStatus();
  });
}

// Sequence `b` of a member, as the operator takes it. Where the plan is counted its results stand
// at an address that nobody reads.
AttentionSequence AttentionPlan::SequenceFor(const Member& member, int64_t b,
                                             const SequenceOffsets& offsets) const {
  AttentionSequence s = SequenceOf(*member.call, b);
  s.query = member.query.At(b, offsets.queries);
  s.key = member.Key(b, offsets);
  s.value = member.Value(b, offsets);
  s.results = plan_.is_counted() ? Placeholders(*member.call)
                                 : ResultsOf(*member.call, member.output, b, offsets);
  return s;
}

absl::Status AttentionPlan::AddAttend() {
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(any_.settings.normalization);
  if (!op.ok()) return op.status();
  const bool projects_output =
      projections_ != nullptr && projections_->o.has_value() && any_.wanted.Has(Result::kOutput);
  MutableBatchView heads;  // [queries of all calls, heads * v_head_dim]
  if (projects_output) {
    heads = ReserveRows(queries_, any_.shape.num_heads, any_.shape.v_head_dim, plan_);
    for (Member& m : members_) m.output = RowsFrom(m.first_query, heads);
  }
  int64_t count = 0;
  for (const Member& m : members_) count += m.call->shape.batch;
  auto* const list = plan_.ReserveList<AttentionSequence>(count);
  std::vector<AttentionSequence> counted(plan_.is_counted() ? count : 0);
  const absl::Span<AttentionSequence> sequences(list != nullptr ? list : counted.data(), count);
  auto* to = sequences.data();
  for (const Member& m : members_) {
    ForEachSequence(*m.call, [&](int64_t b, const SequenceOffsets& offsets) {
      *to++ = SequenceFor(m, b, offsets);
    });
  }
  if (plan_.is_counted()) {
    using Company = AttentionOp::Company;
    plan_.Count((*op)->Memory(any_.settings, sequences, threads_,
                              together_ ? Company::kMayHaveSome : Company::kNone));
  }
  float* masks = nullptr;
  if (any_.shape.extra_keys != 0) {
    masks = plan_.Reserve<float>(ExtraKeysMaskFloats(sequences, any_.shape.num_heads));
  }
  plan_.Add("attend", [this, op = *op, sequences, masks](Executor& executor) {
    if (any_.shape.extra_keys == 0) return op->Run(any_.settings, sequences, executor);
    const auto& model = std::get<AttentionModel>(any_.layer->model());
    return op->Run(AppendExtraKeys(model, any_.settings, sequences, masks), sequences, executor);
  });
  return projects_output ? AddProjectOutput(heads) : absl::OkStatus();
}

// Into the response itself, where that is one and float32; else by way of rows that are then
// converted.
absl::Status AttentionPlan::AddProjectOutput(const MutableBatchView& heads) {
  const Linear& o = *projections_->o;
  const bool in_place = !together_ && any_.types.result == DataType::kFloat32;
  float* const y =
      in_place ? Floats(any_.outputs.output) : plan_.Reserve<float>(queries_ * o.weight.out);
  heads_ = {heads.first.data, DataType::kFloat32};
  absl::Status status = engine::AddProjections("project output", any_.compute_type,
                                               {{&o, &heads_, queries_, y}}, operators_, plan_);
  if (!status.ok() || in_place) return status;
  plan_.Add("return output", [this, y, width = o.weight.out](Executor&) {
    for (const Member& m : members_) {
      const MutableHeadsView& to = m.call->outputs.output.first;
      FromFloat32(y + m.first_query * width, m.totals.queries * width, to.type, to.data);
    }
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

// Weights that the call brings, with its values.
absl::Status AttentionPlan::AddCombine() {
  const auto& source = std::get<WeightedSource>(any_.source);
  members_[0].value = source.value;
  AddReturnHeads();
  if (!any_.wanted.NeedOperator()) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(Normalization::kSum);
  if (!op.ok()) return op.status();
  auto* const list = plan_.ReserveList<WeightedSequence>(any_.shape.batch);
  if (plan_.is_counted()) {
    std::vector<AttentionSequence> sequences;
    ForEachSequence(any_, [&](int64_t b, const SequenceOffsets& offsets) {
      sequences.push_back(SequenceFor(members_[0], b, offsets));
    });
    plan_.Count((*op)->Memory(any_.settings, sequences, threads_));
    plan_.Count({.shared = static_cast<double>(sizeof(AttentionSequence) * sequences.size()),
                 .workspace = 0});  // a list that Combine makes
  }
  plan_.Add("combine", [this, op = *op, list, &source](Executor& executor) {
    ForEachSequence(any_, [&](int64_t b, const SequenceOffsets& offsets) {
      list[b] = {.q_len = any_.shape.q_len,
                 .kv_len = any_.shape.kv_len,
                 .attention_weights = source.attention_weights.At(b, offsets.source_queries),
                 .value = {.past = {}, .current = source.value.At(b, offsets.keys)},
                 .query_positions = any_.query_indices,
                 .results = ResultsOf(any_, any_.outputs.output, b, offsets)};
    });
    return op->Combine(any_.settings, absl::MakeConstSpan(list, any_.shape.batch), executor);
  });
  return absl::OkStatus();
}

// Only the softmax is computed from rounded operands.
absl::StatusOr<std::shared_ptr<const AttentionOp>> AttentionPlan::OpFor(
    Normalization normalization) const {
  const bool rounds = normalization == Normalization::kSoftmax;
  return operators_.attention.Get(
      {.head_dim = any_.shape.head_dim,
       .v_head_dim = any_.shape.v_head_dim,
       .compute_type = rounds ? any_.compute_type : ComputeType::kFloat32});
}

}  // namespace attention::engine
