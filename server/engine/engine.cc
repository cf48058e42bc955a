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

}  // namespace

Engine::Engine(const Options& options)
    : options_(options),
      attention_ops_(kOpCacheCapacity),
      linear_ops_(kOpCacheCapacity),
      executor_(options.threads) {}

void Engine::Submit(const AttentionCall& call, Done done) {
  const SteadyClock::time_point submitted = SteadyClock::now();
  executor_.Enqueue([this, &call, submitted, done = std::move(done)]() mutable {
    const SteadyClock::time_point started = SteadyClock::now();
    absl::Status status = Run(call);
    const CallTiming timing = {.queue = absl::FromChrono(started - submitted),
                               .compute = absl::FromChrono(SteadyClock::now() - started)};
    done(std::move(status), timing);
  });
}

absl::Status Engine::Run(const AttentionCall& call) {
  try {
    if (const auto* tokens = std::get_if<TokensSource>(&call.source)) {
      return RunTokens(call, *tokens);
    }
    if (const auto* projected = std::get_if<ProjectedSource>(&call.source)) {
      return RunProjected(call, *projected);
    }
    return RunWeighted(call, std::get<WeightedSource>(call.source));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for the working set of this call");
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("attention failed: ", e.what()));
  }
}

absl::Status Engine::RunTokens(const AttentionCall& call, const TokensSource& source) {
  const AttentionShape& s = call.shape;
  if (absl::Status fits = CheckTokensFit(call, source); !fits.ok()) return fits;
  AlignedBuffer gathered;
  const float* tokens = source.tokens;  // [batch, q_len, d_model]
  if (!call.query_indices.empty()) {
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
  AlignedBuffer q(s.batch * s.q_len * q_proj.out);   // [batch, q_len, num_heads * head_dim]
  AlignedBuffer k(s.batch * s.kv_len * k_proj.out);  // [batch, kv_len, num_kv_heads * head_dim]
  AlignedBuffer v(s.batch * s.kv_len * v_proj.out);  // [batch, kv_len, num_kv_heads * v_head_dim]
  absl::Status status = Project(q_proj, tokens, s.batch, s.q_len, q.data());
  if (status.ok()) status = Project(k_proj, source.context, s.batch, s.kv_len, k.data());
  if (status.ok()) status = Project(v_proj, source.context, s.batch, s.kv_len, v.data());
  if (!status.ok()) return status;

  const float* const k_data = k.data();
  const float* const v_data = v.data();
  const ProjectedSource projected = {
      .query = TokenMajorView<const float>(q.data(), s.q_len, s.num_heads, s.head_dim),
      .key = TokenMajorView(k_data, s.kv_len, s.num_kv_heads, s.head_dim),
      .value = TokenMajorView(v_data, s.kv_len, s.num_kv_heads, s.v_head_dim)};
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
  const double gathered_size =
      call.query_indices.empty() ? 0.0 : 1.0 * s.batch * s.num_heads * s.q_len * s.head_dim;
  if (absl::Status fits = CheckFits(s, gathered_size); !fits.ok()) return fits;
  if (call.query_indices.empty()) return RunAttention(call, source, call.outputs.attention);
  AlignedBuffer gathered(s.batch * s.num_heads * s.q_len * s.head_dim);
  GatherRows(source.query, call.query_indices, s.batch, s.num_heads, s.head_dim, gathered.data());
  ProjectedSource selected = source;
  selected.query = HeadMajorView<const float>(gathered.data(), s.q_len, s.num_heads, s.head_dim);
  return RunAttention(call, selected, call.outputs.attention);
}

absl::Status Engine::RunWeighted(const AttentionCall& call, const WeightedSource& source) {
  const AttentionShape& s = call.shape;
  if (absl::Status fits = CheckFits(s, 0); !fits.ok()) return fits;
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(s);
  if (!op.ok()) return op.status();
  if (call.outputs.value != nullptr) {
    CopyHeads(source.value, s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim, call.outputs.value);
  }
  return (*op)->Combine({.shape = s,
                         .attention_weights = source.attention_weights,
                         .value = source.value,
                         .query_positions = call.query_indices},
                        call.outputs.attention, executor_);
}

absl::Status Engine::RunAttention(const AttentionCall& call, const ProjectedSource& projected,
                                  const AttentionOutputs& outputs) {
  const AttentionShape& s = call.shape;
  const CallOutputs& to = call.outputs;
  if (to.query) CopyHeads(projected.query, s.batch, s.num_heads, s.q_len, s.head_dim, to.query);
  if (to.key) CopyHeads(projected.key, s.batch, s.num_kv_heads, s.kv_len, s.head_dim, to.key);
  if (to.value) {
    CopyHeads(projected.value, s.batch, s.num_kv_heads, s.kv_len, s.v_head_dim, to.value);
  }
  if (outputs.Empty()) return absl::OkStatus();
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(s);
  if (!op.ok()) return op.status();
  return (*op)->Run({.shape = s,
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

absl::Status Engine::CheckTokensFit(const AttentionCall& call, const TokensSource& source) {
  const AttentionShape& s = call.shape;
  const double q_rows = 1.0 * s.batch * s.q_len, kv_rows = 1.0 * s.batch * s.kv_len;
  double floats = call.query_indices.empty() ? 0 : q_rows * source.d_model;
  if (const auto& projections = source.projections) {
    floats += q_rows * projections->q.out + kv_rows * projections->k.out;
    floats += kv_rows * projections->v.out + (projections->o ? q_rows * projections->o->in : 0);
  }
  return CheckFits(s, floats);
}

absl::Status Engine::CheckFits(const AttentionShape& shape, double floats) {
  const absl::StatusOr<std::shared_ptr<const AttentionOp>> op = OpFor(shape);
  if (!op.ok()) return op.status();
  constexpr double kMib = 1 << 20;
  const double bytes = floats * sizeof(float) + (*op)->WorkingBytes(shape, executor_.threads());
  const double limit = static_cast<double>(options_.max_working_bytes);
  if (bytes <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "the call needs %.0f MiB for intermediate results; this server grants a call %.0f MiB "
      "(--max_working_mib): send fewer sequences, tokens or heads at a time",
      std::ceil(bytes / kMib), limit / kMib));
}

}  // namespace attention::engine
