#include "server/engine/projector.h"

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "kernels/memory/tiles.h"
#include "kernels/products/operands.h"

namespace attention::engine {
namespace {

bool SameRows(const Projector::Work& a, const Projector::Work& b) {
  return a.x.data == b.x.data && a.projection->weight.in == b.projection->weight.in;
}

// Calls visit(works[i]) for the first of `works` that reads its rows, where these have to be
// converted.
template <typename Visit>
void ForEachConversion(absl::Span<const Projector::Work> works, OperandFormat format, Visit visit) {
  for (size_t i = 0; i < works.size(); ++i) {
    const bool seen = std::any_of(works.begin(), works.begin() + static_cast<int64_t>(i),
                                  [&](const auto& before) { return SameRows(before, works[i]); });
    if (!seen && !AreOperands(works[i].x.type, format)) visit(works[i]);
  }
}

int64_t OperandFloats(const Projector::Work& work, OperandFormat format) {
  return CeilDiv(work.rows * work.projection->weight.in * ByteSize(format.operand), sizeof(float));
}

}  // namespace

absl::Status Projector::Run(ComputeType compute_type, absl::Span<const Work> works,
                            Executor& executor) {
  const OperandFormat format = OnednnMatmul::OperandsFor(compute_type);
  struct Converted {
    const Work& work;
    BufferPool::Loan operands;
  };
  std::deque<Converted> converted;
  absl::Status status;
  ForEachConversion(works, format, [&](const Work& work) {
    if (!status.ok()) return;
    converted.push_back({work, executor.buffers().Borrow(OperandFloats(work, format))});
    status = ToOperands(work.x.data, work.x.type, work.rows * work.projection->weight.in, format,
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

absl::StatusOr<WorkingMemory> Projector::Memory(ComputeType compute_type,
                                                absl::Span<const Work> works) {
  WorkingMemory memory;
  for (const Work& work : works) {
    const absl::StatusOr<std::shared_ptr<const LinearOp>> op =
        OpFor(compute_type, work.projection->weight.in);
    if (!op.ok()) return op.status();
    memory.Add((*op)->Memory());
  }
  const OperandFormat format = OnednnMatmul::OperandsFor(compute_type);
  ForEachConversion(works, format, [&](const Work& work) {
    memory.shared += sizeof(float) * static_cast<double>(OperandFloats(work, format));
  });
  return memory;
}

absl::StatusOr<std::shared_ptr<const LinearOp>> Projector::OpFor(ComputeType compute_type,
                                                                 int64_t in) {
  return ops_.Get({.in = in, .compute_type = compute_type});
}

}  // namespace attention::engine
