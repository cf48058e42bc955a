#include "server/engine/call_plan.h"

#include <variant>
#include <vector>

#include "server/engine/attention_plan.h"
#include "server/engine/encode_plan.h"

namespace attention::engine {
namespace {

template <typename CallPlan, typename Call>
absl::StatusOr<WorkingMemory> Count(const Call& call, Operators& operators, int threads) {
  CallPlan counted(call, operators, threads);
  if (absl::Status status = counted.Write(); !status.ok()) return status;
  WorkingMemory memory = counted.plan().memory();
  memory.shared += WorkingMemory::kSmallBytes;
  return memory;
}

template <typename CallPlan, typename Call>
absl::Status Run(absl::Span<const AnyCall> calls, const PackedLayer* packed, Operators& operators,
                 Executor& executor) {
  std::vector<const Call*> of_kind;
  of_kind.reserve(calls.size());
  for (const AnyCall& call : calls) of_kind.push_back(std::get<const Call*>(call));
  CallPlan written(of_kind, packed, operators, executor);
  absl::Status status = written.Write();
  return status.ok() ? written.plan().Run() : status;
}

}  // namespace

absl::StatusOr<WorkingMemory> CountMemory(const AnyCall& call, Operators& operators, int threads) {
  if (const auto* const attention = std::get_if<const AttentionCall*>(&call)) {
    return Count<AttentionPlan>(**attention, operators, threads);
  }
  return Count<EncodePlan>(*std::get<const EncodeCall*>(call), operators, threads);
}

absl::Status RunCalls(absl::Span<const AnyCall> calls, const PackedLayer* packed,
                      Operators& operators, Executor& executor) {
  if (std::holds_alternative<const AttentionCall*>(calls[0])) {
    return Run<AttentionPlan, AttentionCall>(calls, packed, operators, executor);
  }
  return Run<EncodePlan, EncodeCall>(calls, packed, operators, executor);
}

}  // namespace attention::engine
