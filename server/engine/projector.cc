#include "server/engine/projector.h"

#include <algorithm>
#include <map>

#include "server/engine/call_sequences.h"

namespace attention::engine {
namespace {

constexpr size_t kOpCacheCapacity = 256;  // each holds some 100 KiB of compiled code

}  // namespace

std::vector<RowRun> QueryRows(const AttentionCall& call) {
  std::vector<RowRun> rows;
  ForEachSequence(call, [&](int64_t b, const Before& before) {
    rows.push_back({before.queries, call.sequences[b].q_len});
  });
  return rows;
}

std::vector<RowRun> KeyRows(const AttentionCall& call) {
  std::vector<RowRun> rows;
  ForEachSequence(call, [&](int64_t b, const Before& before) {
    rows.push_back({before.current_keys, call.sequences[b].kv_len});
  });
  return rows;
}

Projector::Projector() : ops_(kOpCacheCapacity) {}

absl::Status Projector::Run(ComputeType compute_type, const Projection& projection,
                            const NumbersView& x, absl::Span<const RowRun> sequences, float* y,
                            Executor& executor) {
  // A sequence's tile goes by its own length, so that its bits do not depend on the others.
  std::map<int64_t, std::vector<RowRun>> by_tile;
  for (const RowRun& rows : sequences) {
    if (rows.count > 0) by_tile[LinearOp::RowTile(rows.count)].push_back(rows);
  }
  for (const auto& tile_and_rows : by_tile) {
    const absl::StatusOr<std::shared_ptr<const LinearOp>> op =
        OpFor(compute_type, projection, tile_and_rows.first);
    if (!op.ok()) return op.status();
    absl::Status status = (*op)->Run({.x = x.data,
                                      .x_type = x.type,
                                      .runs = tile_and_rows.second,
                                      .weight = projection.weight.data,
                                      .weight_type = projection.weight.type,
                                      .bias = projection.bias},
                                     y, executor);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Projector::WorkingBytes(const AttentionCall& call, int threads) {
  const auto* const source = std::get_if<TokensSource>(&call.source);
  if (source == nullptr || !source->projections.has_value()) return 0;
  const auto& [q, k, v, o] = *source->projections;
  double most = 0;
  absl::Status status;
  const auto add = [&](bool needed, const Projection& projection, int64_t rows) {
    if (!needed || !status.ok()) return;
    const absl::StatusOr<std::shared_ptr<const LinearOp>> op =
        OpFor(call.compute_type, projection, LinearOp::RowTile(std::max<int64_t>(rows, 1)));
    status = op.status();
    if (op.ok()) most = std::max(most, (*op)->WorkingBytes(threads));
  };
  add(call.wanted.NeedQuery(), q, call.shape.q_len);
  add(call.wanted.NeedKey(), k, call.shape.kv_len);
  add(call.wanted.NeedValue(), v, call.shape.kv_len);
  if (o.has_value()) add(call.wanted.output, *o, call.shape.q_len);
  if (!status.ok()) return status;
  return most;
}

absl::StatusOr<std::shared_ptr<const LinearOp>> Projector::OpFor(ComputeType compute_type,
                                                                 const Projection& projection,
                                                                 int64_t row_tile) {
  return ops_.Get({.in = projection.in,
                   .out = projection.out,
                   .has_bias = projection.bias != nullptr,
                   .row_tile = row_tile,
                   .compute_type = compute_type});
}

}  // namespace attention::engine
