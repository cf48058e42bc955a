#include "server/engine/projector.h"

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "kernels/operands.h"
#include "kernels/tiles.h"
#include "server/engine/call_sequences.h"

namespace attention::engine {
namespace {

bool SameRows(const Projector::Work& a, const Projector::Work& b) {
  return a.x.data == b.x.data && a.projection->weight.in == b.projection->weight.in;
}

// Calls visit(works[i]) for the first of `works` that reads its rows, where these have to be
// converted.
template <typename Visit>
void ForEachConversion(absl::Span<const Projector::Work> works, PackAs as, Visit visit) {
  for (size_t i = 0; i < works.size(); ++i) {
    const bool seen = std::any_of(works.begin(), works.begin() + static_cast<int64_t>(i),
                                  [&](const auto& before) { return SameRows(before, works[i]); });
    if (!seen && !AreOperands(works[i].x.type, as)) visit(works[i]);
  }
}

int64_t OperandFloats(const Projector::Work& work, PackAs as) {
  return CeilDiv(work.rows * work.projection->weight.in * ByteSize(as.operand), sizeof(float));
}

}  // namespace

absl::Status Projector::Run(ComputeType compute_type, absl::Span<const Work> works,
                            Executor& executor) {
  const PackAs as = OnednnMatmul::OperandsFor(compute_type);
  struct Converted {
    const Work& work;
    BufferPool::Loan operands;
  };
  std::deque<Converted> converted;
  absl::Status status;
  ForEachConversion(works, as, [&](const Work& work) {
    if (!status.ok()) return;
    converted.push_back({work, executor.buffers().Borrow(OperandFloats(work, as))});
    status = ToOperands(work.x.data, work.x.type, work.rows * work.projection->weight.in, as,
                        converted.back().operands.data(), executor);
  });
  if (!status.ok()) return status;

  std::map<int64_t, std::vector<LinearOp::Layer>> by_width;
  for (const Work& work : works) {
    const auto own = std::find_if(converted.begin(), converted.end(), [&](const Converted& other) {
      return SameRows(other.work, work);
    });
    by_width[work.projection->weight.in].push_back(
        {.x = own == converted.end() ? static_cast<const void*>(work.x.data) : own->operands.data(),
         .rows = work.rows,
         .linear = *work.projection,
         .y = work.y});
  }
  for (const auto& width_and_layers : by_width) {
    const absl::StatusOr<std::shared_ptr<const LinearOp>> op =
        OpFor(compute_type, width_and_layers.first);
    if (!op.ok()) return op.status();
    status = (*op)->Run(width_and_layers.second, executor);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Projector::WorkBytes(ComputeType compute_type, absl::Span<const Work> works,
                                            int threads) {
  double most = 0;
  for (const Work& work : works) {
    const absl::StatusOr<std::shared_ptr<const LinearOp>> op =
        OpFor(compute_type, work.projection->weight.in);
    if (!op.ok()) return op.status();
    most = std::max(most, (*op)->WorkingBytes(threads));
  }
  const PackAs as = OnednnMatmul::OperandsFor(compute_type);
  ForEachConversion(works, as, [&](const Work& work) {
    most += sizeof(float) * static_cast<double>(OperandFloats(work, as));
  });
  return most;
}

absl::StatusOr<double> Projector::WorkingBytes(const AttentionCall& call, int threads) {
  const auto* const source = std::get_if<TokensSource>(&call.source);
  if (source == nullptr || !source->projections.has_value()) return 0;
  const auto& [q, k, v, o] = *source->projections;
  const Before totals = Totals(call);
  std::vector<Work> before, after;
  if (call.wanted.NeedQuery()) before.push_back({&q, source->tokens, totals.queries});
  if (call.wanted.NeedKey()) before.push_back({&k, source->context, totals.current_keys});
  if (call.wanted.NeedValue()) before.push_back({&v, source->context, totals.current_keys});
  if (call.wanted.output && o.has_value()) after.push_back({&*o, NumbersView(), totals.queries});
  const absl::StatusOr<double> bytes = WorkBytes(call.compute_type, before, threads);
  const absl::StatusOr<double> after_bytes = WorkBytes(call.compute_type, after, threads);
  if (!bytes.ok()) return bytes.status();
  if (!after_bytes.ok()) return after_bytes.status();
  return std::max(*bytes, *after_bytes);
}

absl::StatusOr<std::shared_ptr<const LinearOp>> Projector::OpFor(ComputeType compute_type,
                                                                 int64_t in) {
  return ops_.Get({.in = in, .compute_type = compute_type});
}

}  // namespace attention::engine
