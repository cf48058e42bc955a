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

namespace attention::engine {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Each operator holds some 100 KiB of compiled code.
constexpr size_t kOpCacheCapacity = 256;

// Rows `indices` of each head of `from`, as [batch, heads, indices, dim]; `to` has room for them.
void GatherRows(const HeadsView<const float>& from, const std::vector<int64_t>& indices,
                int64_t batch, int64_t heads, int64_t dim, float* to) {
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (const int64_t index : indices) to = std::copy_n(from.Row(b, h, index), dim, to);
    }
  }
}

// All rows of `from`, as [batch, heads, len, dim].
void CopyHeads(const HeadsView<const float>& from, int64_t batch, int64_t heads, int64_t len,
               int64_t dim, float* to) {
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < len; ++i) to = std::copy_n(from.Row(b, h, i), dim, to);
    }
  }
}

// Floats that the engine keeps between the steps of `call`, as the Run functions below allocate
// them. A double, which does not overflow.
double KeptFloats(const AttentionCall& call) {
  const AttentionShape& s = call.shape;
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
  double bytes = sizeof(float) * KeptFloats(call);
  if (call.wanted.NeedOperator()) {
    const AttentionShape shape = call.OperatorShape();
    const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(shape);
    if (!op.ok()) return op.status();
    bytes += (*op)->WorkingBytes(shape, executor_.threads());
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
  const AttentionShape& s = call.shape;
  AlignedBuffer gathered;
  const float* tokens = source.tokens;  // [batch, q_len, d_model]
  if (call.PicksQueries()) {
    gathered.Grow(s.batch * s.q_len * source.d_model);
    GatherRows(TokenMajorView(tokens, call.source_len, 1, source.d_model), call.query_indices,
               s.batch, 1, source.d_model, gathered.data());
    tokens = gathered.data();
  }
  if (source.projections.has_value()) return RunLearned(call, *source.projections, tokens, source);
  const auto query = TokenMajorView(tokens, s.q_len, s.num_heads, s.head_dim);
  const auto context = TokenMajorView(source.context, s.kv_len, s.num_kv_heads, s.head_dim);
  return RunAttention(call, {query, context, context}, call.outputs.attention);
}

absl::Status Engine::RunLearned(const AttentionCall& call, const Projections& projections,
                                const float* tokens, const TokensSource& source) {
  const AttentionShape& s = call.shape;
  const auto& [q_proj, k_proj, v_proj, o_proj] = projections;
  const auto project = [&](bool needed, const Projection& by, const float* x, int64_t rows,
                           AlignedBuffer& to) {
    if (!needed) return absl::OkStatus();
    to.Grow(s.batch * rows * by.out);
    return Project(by, x, s.batch, rows, to.data());
  };
  AlignedBuffer q;  // [batch, q_len, num_heads * head_dim]
  AlignedBuffer k;  // [batch, kv_len, num_kv_heads * head_dim]
  AlignedBuffer v;  // [batch, kv_len, num_kv_heads * v_head_dim]
  const WantedResults& wanted = call.wanted;
  absl::Status status = project(wanted.NeedQuery(), q_proj, tokens, s.q_len, q);
  if (status.ok()) status = project(wanted.NeedKey(), k_proj, source.context, s.kv_len, k);
  if (status.ok()) status = project(wanted.NeedValue(), v_proj, source.context, s.kv_len, v);
  if (!status.ok()) return status;

  const ProjectedSource projected = {
      .query = TokenMajorView<const float>(q.data(), s.q_len, s.num_heads, s.head_dim),
      .key = TokenMajorView<const float>(k.data(), s.kv_len, s.num_kv_heads, s.head_dim),
      .value = TokenMajorView<const float>(v.data(), s.kv_len, s.num_kv_heads, s.v_head_dim)};
  AttentionOutputs outputs = call.outputs.attention;
  float* const output = outputs.output.data;
  if (!o_proj.has_value() || output == nullptr) return RunAttention(call, projected, outputs);

  AlignedBuffer heads(s.batch * s.q_len * o_proj->in);  // [batch, q_len, num_heads * v_head_dim]
  outputs.output = TokenMajorView(heads.data(), s.q_len, s.num_heads, s.v_head_dim);
  status = RunAttention(call, projected, outputs);
  if (!status.ok()) return status;
  return Project(*o_proj, heads.data(), s.batch, s.q_len, output);
}

absl::Status Engine::RunProjected(const AttentionCall& call, const ProjectedSource& source) {
  const AttentionShape& s = call.shape;
  if (!call.PicksQueries()) return RunAttention(call, source, call.outputs.attention);
  AlignedBuffer gathered(s.batch * s.num_heads * s.q_len * s.head_dim);
  GatherRows(source.query, call.query_indices, s.batch, s.num_heads, s.head_dim, gathered.data());
  ProjectedSource selected = source;
  selected.query = HeadMajorView<const float>(gathered.data(), s.q_len, s.num_heads, s.head_dim);
  return RunAttention(call, selected, call.outputs.attention);
}

absl::Status Engine::RunWeighted(const AttentionCall& call, const WeightedSource& source) {
  const AttentionShape& s = call.shape;
  if (call.wanted.value) {
    CopyHeads(source.value, s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim, call.outputs.value);
  }
  if (!call.wanted.NeedOperator()) return absl::OkStatus();
  const AttentionShape shape = call.OperatorShape();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(shape);
  if (!op.ok()) return op.status();
  return (*op)->Combine({.shape = shape,
                         .attention_weights = source.attention_weights,
                         .value = source.value,
                         .query_positions = call.query_indices},
                        call.outputs.attention, executor_);
}

absl::Status Engine::RunAttention(const AttentionCall& call, const ProjectedSource& projected,
                                  const AttentionOutputs& outputs) {
  const AttentionShape& s = call.shape;
  const WantedResults& wanted = call.wanted;
  const CallOutputs& to = call.outputs;
  if (wanted.query) CopyHeads(projected.query, s.batch, s.num_heads, s.q_len, s.head_dim, to.query);
  if (wanted.key) CopyHeads(projected.key, s.batch, s.num_kv_heads, s.kv_len, s.head_dim, to.key);
  if (wanted.value) {
    CopyHeads(projected.value, s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim, to.value);
  }
  if (!wanted.NeedOperator()) return absl::OkStatus();
  const AttentionShape shape = call.OperatorShape();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(shape);
  if (!op.ok()) return op.status();
  return (*op)->Run({.shape = shape,
                     .query = projected.query,
                     .key = projected.key,
                     .value = projected.value,
                     .scale = call.scale,
                     .normalization = call.normalization,
                     .causal = call.causal,
                     .mask = call.mask,
                     .query_positions = call.query_indices},
                    outputs, executor_);
}

absl::Status Engine::Project(const Projection& projection, const float* x, int64_t batch,
                             int64_t rows, float* y) {
  const absl::StatusOr<std::shared_ptr<const LinearOp>> op =
      linear_ops_.Get({.in = projection.in,
                       .out = projection.out,
                       .has_bias = projection.bias != nullptr,
                       .row_tile = LinearOp::RowTile(rows)});
  if (!op.ok()) return op.status();
  return (*op)->Run(
      {.x = x, .batch = batch, .rows = rows, .weight = projection.weight, .bias = projection.bias},
      y, executor_);
}

absl::StatusOr<std::shared_ptr<const AttentionOp>> Engine::OpFor(const AttentionShape& shape) {
  return attention_ops_.Get({.head_dim = shape.head_dim,
                             .v_head_dim = shape.v_head_dim,
                             .tiles = AttentionOp::Tiles(shape.q_len, shape.kv_len)});
}

}  // namespace attention::engine
