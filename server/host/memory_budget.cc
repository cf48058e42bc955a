#include "server/host/memory_budget.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "server/host/mib.h"

namespace attention::engine {

std::optional<int64_t> CgroupMemoryLimit(const CgroupFiles& files) {
  std::optional<int64_t> least;
  for (const auto& group : CgroupFolders("memory", files)) {
    // Version 2 says "max" where there is no limit, version 1 a number beyond all memory.
    constexpr int64_t kUnlimited = int64_t{1} << 62;
    for (const char* const name : {"memory.max", "memory.limit_in_bytes"}) {
      int64_t limit = 0;
      if (absl::SimpleAtoi(FirstLine(group / name), &limit) && limit > 0 && limit < kUnlimited) {
        least = std::min(limit, least.value_or(limit));
      }
    }
  }
  return least;
}

int64_t GrantedMemory(const CgroupFiles& files) {
  const int64_t machine = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return std::min(machine, CgroupMemoryLimit(files).value_or(machine));
}

absl::StatusOr<MemoryPlan> PlanMemory(const MemoryWishes& wishes) {
  constexpr int64_t kGib = 1 << 30;
  const auto wish_or = [](int64_t wish, int64_t usual) { return wish > 0 ? wish : usual; };
  const int64_t total = wishes.total, sixteenth = total / 16;
  // A request, its response, and the bytes that the response is sent as.
  const int64_t largest_call = 3 * wishes.largest_message;
  MemoryPlan plan = {
      .total = total,
      .messages = wish_or(wishes.messages, std::clamp(5 * sixteenth, largest_call,
                                                      std::max(largest_call, 4 * kGib))),
      .transport = std::max(2 * sixteenth, 2 * wishes.largest_message),
      .working = wish_or(wishes.working, std::min(3 * sixteenth, kGib)),
      .layers = 0};
  if (plan.messages < largest_call) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "--max_queued_mib is %d; want at least %d, 3 x --max_message_mib, for a request, its "
        "response and the bytes that this is sent as",
        plan.messages / kMib, largest_call / kMib));
  }
  const int64_t program = std::max(sixteenth, 64 * kMib);
  const int64_t left = total - plan.messages - plan.transport - plan.working - program;
  plan.layers = wish_or(wishes.layers, std::min(4 * sixteenth, left));
  if (left > 0 && plan.layers <= left) return plan;
  return absl::ResourceExhaustedError(absl::StrFormat(
      "%d MiB of memory (--memory_mib) are too few for %d MiB of messages (--max_queued_mib), %d "
      "MiB on their way (2 x --max_message_mib), %d MiB of intermediate results "
      "(--max_working_mib), %d MiB of layers (--layer_memory_mib) and %d MiB for the program: "
      "grant more or lower one of these",
      total / kMib, plan.messages / kMib, plan.transport / kMib, plan.working / kMib,
      std::max<int64_t>(plan.layers, 0) / kMib, program / kMib));
}

}  // namespace attention::engine
