#include "server/engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <memory>
#include <new>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/aligned_buffer.h"
#include "server/engine/call_sequences.h"

namespace attention::engine {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Each operator holds some 100 KiB of compiled code.
constexpr size_t kOpCacheCapacity = 256;

// Floats that the engine keeps between the steps of `call`, as the Run functions below allocate
// them. A double, which does not overflow.
double KeptFloats(const AttentionCall& call) {
  const CallShape& s = call.shape;
  const WantedResults& wanted = call.wanted;
  const double q_rows = 1.0 * s.batch * s.q_len, kv_rows = 1.0 * s.batch * s.kv_len;
  if (std::holds_alternative<ProjectedSource>(call.source)) {
    return call.PicksQueries() ? q_rows * s.num_heads * s.head_dim : 0;
  }
  const auto* const source = std::get_if<TokensSource>(&call.source);
  if (source == nullptr) return 0;
  double floats = call.PicksQueries() ? q_rows * source->d_model : 0;
  if (const auto& projections = source->projections) {
    if (wanted.NeedQuery()) floats += q_rows * projections->q.out;
    if (wanted.NeedKey()) floats += kv_rows * projections->k.out;
    if (wanted.NeedValue()) floats += kv_rows * projections->v.out;
    if (wanted.output && projections->o) floats += q_rows * projections->o->in;
  }
  return floats;
}

// What `step` says. A foreign exception becomes a status here, and nowhere else in the engine.
template <typename Step>
absl::Status Guarded(Step step) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for this call; try again later");
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("attention failed: ", e.what()));
  }
}

}  // namespace

Engine::Engine(const Options& options)
    : options_(options),
      attention_ops_(kOpCacheCapacity),
      linear_ops_(kOpCacheCapacity),
      executor_(options.threads) {}

absl::Status Engine::CheckFits(const AttentionCall& call) {
  const absl::StatusOr<double> projecting = ProjectionBytes(call);
  if (!projecting.ok()) return projecting.status();
  double bytes = sizeof(float) * KeptFloats(call) + *projecting;
  if (call.wanted.NeedOperator()) {
    const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
    if (!op.ok()) return op.status();
    std::vector<AttentionSequence> sequences = Sequences(call);
    for (AttentionSequence& s : sequences) s.results = Placeholders(call.wanted);
    bytes += (*op)->WorkingBytes(call.settings, sequences, executor_.threads());
  }
  constexpr double kMib = 1 << 20;
  const double limit = static_cast<double>(options_.max_working_bytes);
  if (bytes <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "the call needs %.0f MiB for intermediate results; this server grants a call %.0f MiB "
      "(--max_working_mib): send fewer sequences, tokens or heads at a time",
      std::ceil(bytes / kMib), limit / kMib));
}

void Engine::Submit(const AttentionCall& call, Prepare prepare, Done done) {
  const SteadyClock::time_point submitted = SteadyClock::now();
  executor_.Enqueue(
      [this, &call, submitted, prepare = std::move(prepare), done = std::move(done)]() mutable {
        const SteadyClock::time_point started = SteadyClock::now();
        absl::Status status =
            executor_.stopped() ? absl::CancelledError() : Guarded([&] { return prepare(); });
        const SteadyClock::time_point prepared = SteadyClock::now();
        if (status.ok()) status = Guarded([&] { return Run(call); });
        if (absl::IsCancelled(status)) {  // by Stop alone
          status = absl::UnavailableError("the server is shutting down; call another one");
        }
        const CallTiming timing = {.queue = absl::FromChrono(started - submitted),
                                   .prepare = absl::FromChrono(prepared - started),
                                   .compute = absl::FromChrono(SteadyClock::now() - prepared)};
        done(std::move(status), timing);
      });
}

absl::Status Engine::Run(const AttentionCall& call) {
  if (const auto* tokens = std::get_if<TokensSource>(&call.source)) return RunTokens(call, *tokens);
  if (const auto* projected = std::get_if<ProjectedSource>(&call.source)) {
    return RunProjected(call, *projected);
  }
  return RunWeighted(call, std::get<WeightedSource>(call.source));
}

absl::Status Engine::RunTokens(const AttentionCall& call, const TokensSource& source) {
  const CallShape& s = call.shape;
  AlignedBuffer gathered;
  const float* tokens = source.tokens;  // [batch, q_len, d_model]
  if (call.PicksQueries()) {
    gathered.Grow(s.batch * s.q_len * source.d_model);
    CopyRows(TokenMajorBatch(tokens, call.source_len, 1, source.d_model), call.query_indices,
             s.batch, 1, source.d_model, gathered.data());
    tokens = gathered.data();
  }
  if (source.projections.has_value()) return RunLearned(call, *source.projections, tokens, source);
  const auto query = TokenMajorBatch(tokens, s.q_len, s.num_heads, s.head_dim);
  const auto context = TokenMajorBatch(source.context, s.kv_len, s.num_kv_heads, s.head_dim);
  return RunAttention(call, {query, context, context}, call.outputs.output);
}

absl::Status Engine::RunLearned(const AttentionCall& call, const Projections& projections,
                                const float* tokens, const TokensSource& source) {
  const CallShape& s = call.shape;
  const auto& [q_proj, k_proj, v_proj, o_proj] = projections;
  const WantedResults& wanted = call.wanted;
  AlignedBuffer q, k, v;
  absl::Status status;
  const auto project = [&](const Projection& projection, const float* x, int64_t len,
                           AlignedBuffer& y) {
    y.Grow(s.batch * len * projection.out);
    if (status.ok()) status = Project(projection, x, s.batch, len, y.data());
  };
  if (wanted.NeedQuery())
    project(q_proj, tokens, s.q_len, q);  // [batch, q_len, num_heads * head_dim]
  if (wanted.NeedKey()) project(k_proj, source.context, s.kv_len, k);    // [batch, kv_len, ...]
  if (wanted.NeedValue()) project(v_proj, source.context, s.kv_len, v);  // [batch, kv_len, ...]
  if (!status.ok()) return status;

  const auto view = [](const AlignedBuffer& x, int64_t len, int64_t heads, int64_t dim) {
    return TokenMajorBatch(x.data(), len, heads, dim);
  };
  const ProjectedSource projected = {.query = view(q, s.q_len, s.num_heads, s.head_dim),
                                     .key = view(k, s.kv_len, s.num_kv_heads, s.head_dim),
                                     .value = view(v, s.kv_len, s.num_kv_heads, s.v_head_dim)};
  const MutableBatchView& output = call.outputs.output;
  if (!o_proj.has_value() || output.first.data == nullptr) {
    return RunAttention(call, projected, output);
  }
  AlignedBuffer heads(s.batch * s.q_len * o_proj->in);  // [batch, q_len, num_heads * v_head_dim]
  status = RunAttention(call, projected,
                        TokenMajorBatch(heads.data(), s.q_len, s.num_heads, s.v_head_dim));
  if (!status.ok()) return status;
  return Project(*o_proj, heads.data(), s.batch, s.q_len,
                 reinterpret_cast<float*>(output.first.data));
}

absl::Status Engine::RunProjected(const AttentionCall& call, const ProjectedSource& source) {
  const CallShape& s = call.shape;
  if (!call.PicksQueries()) return RunAttention(call, source, call.outputs.output);
  AlignedBuffer gathered(s.batch * s.num_heads * s.q_len * s.head_dim);
  CopyRows(source.query, call.query_indices, s.batch, s.num_heads, s.head_dim, gathered.data());
  ProjectedSource selected = source;
  const float* const query = gathered.data();
  selected.query = HeadMajorBatch(query, s.q_len, s.num_heads, s.head_dim);
  return RunAttention(call, selected, call.outputs.output);
}

absl::Status Engine::RunWeighted(const AttentionCall& call, const WeightedSource& source) {
  const CallShape& s = call.shape;
  if (call.wanted.value) {
    CopyHeads(source.value, s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim, call.outputs.value);
  }
  if (!call.wanted.NeedOperator()) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  std::vector<WeightedSequence> sequences;
  for (int64_t b = 0; b < s.batch; ++b) {
    sequences.push_back({.q_len = s.q_len,
                         .kv_len = s.kv_len,
                         .attention_weights = source.attention_weights.At(b),
                         .value = {.past = {}, .current = source.value.At(b)},
                         .query_positions = call.query_indices,
                         .results = ResultsOf(call, call.outputs.output, b)});
  }
  return (*op)->Combine(call.settings, sequences, executor_);
}

absl::Status Engine::RunAttention(const AttentionCall& call, const ProjectedSource& projected,
                                  const MutableBatchView& output) {
  const CallShape& s = call.shape;
  const CallOutputs& to = call.outputs;
  if (to.query) CopyHeads(projected.query, s.batch, s.num_heads, s.q_len, s.head_dim, to.query);
  if (to.key) CopyHeads(projected.key, s.batch, s.num_kv_heads, s.kv_len, s.head_dim, to.key);
  if (to.value) {
    CopyHeads(projected.value, s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim, to.value);
  }
  if (!call.wanted.NeedOperator()) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  std::vector<AttentionSequence> sequences = Sequences(call);
  for (int64_t b = 0; b < s.batch; ++b) {
    sequences[b].query = projected.query.At(b);
    sequences[b].key.current = projected.key.At(b);
    sequences[b].value.current = projected.value.At(b);
    sequences[b].results = ResultsOf(call, output, b);
  }
  return (*op)->Run(call.settings, sequences, executor_);
}

absl::Status Engine::Project(const Projection& projection, const float* x, int64_t batch,
                             int64_t rows, float* y) {
  const absl::StatusOr<std::shared_ptr<const LinearOp>> op = OpFor(projection, rows);
  if (!op.ok()) return op.status();
  return (*op)->Run(
      {.x = x, .batch = batch, .rows = rows, .weight = projection.weight, .bias = projection.bias},
      y, executor_);
}

absl::StatusOr<std::shared_ptr<const AttentionOp>> Engine::OpFor(const AttentionCall& call) {
  return attention_ops_.Get({.head_dim = call.shape.head_dim, .v_head_dim = call.shape.v_head_dim});
}

absl::StatusOr<std::shared_ptr<const LinearOp>> Engine::OpFor(const Projection& projection,
                                                              int64_t rows) {
  return linear_ops_.Get({.in = projection.in,
                          .out = projection.out,
                          .has_bias = projection.bias != nullptr,
                          .row_tile = LinearOp::RowTile(rows)});
}

absl::StatusOr<double> Engine::ProjectionBytes(const AttentionCall& call) {
  const auto* const source = std::get_if<TokensSource>(&call.source);
  if (source == nullptr || !source->projections.has_value()) return 0;
  const CallShape& s = call.shape;
  const auto& [q, k, v, o] = *source->projections;
  double most = 0;
  absl::Status status;
  const auto add = [&](bool needed, const Projection& projection, int64_t rows) {
    if (!needed || !status.ok()) return;
    const absl::StatusOr<std::shared_ptr<const LinearOp>> op = OpFor(projection, rows);
    status = op.status();
    if (op.ok()) most = std::max(most, (*op)->WorkingBytes(executor_.threads()));
  };
  add(call.wanted.NeedQuery(), q, s.q_len);
  add(call.wanted.NeedKey(), k, s.kv_len);
  add(call.wanted.NeedValue(), v, s.kv_len);
  if (o.has_value()) add(call.wanted.output, *o, s.q_len);
  if (!status.ok()) return status;
  return most;
}

}  // namespace attention::engine
