#ifndef ATTENTION_KERNELS_THREADS_PLAN_H_
#define ATTENTION_KERNELS_THREADS_PLAN_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/memory/buffer_pool.h"
#include "kernels/memory/tiles.h"
#include "kernels/memory/working_memory.h"
#include "kernels/threads/executor.h"

namespace attention {

// A computation as a list of steps, in the order of the mathematics, and of the buffers that lie
// between them.
//
// The same code writes a plan that is only counted, before anything is allocated, and one that is
// run: so the list of buffers that admission counts is the list that running borrows. Whoever
// writes a plan reserves a buffer, whose address is null where the plan is counted, and adds the
// steps that read and write it; what a computation does not need is not in its plan.
//
// For one thread; the steps themselves use all that the executor has.
class Plan {
 public:
  using Step = absl::AnyInvocable<absl::Status()>;

  // A plan that is counted.
  Plan() = default;
  // A plan that is run on `executor`, which must outlive this.
  explicit Plan(Executor& executor) : executor_(&executor) {}

  bool is_counted() const { return executor_ == nullptr; }

  // Room for `count` values, not set, from now on until this is destroyed; null where the plan is
  // counted. Throws std::bad_alloc.
  template <typename T>
  T* Reserve(int64_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= AlignedBuffer::kAlignment);
    if (is_counted()) {
      memory_.shared += static_cast<double>(sizeof(T)) * static_cast<double>(count);
      return nullptr;
    }
    const auto bytes = count * static_cast<int64_t>(sizeof(T));
    loans_.push_back(executor_->buffers().Borrow(CeilDiv(bytes, sizeof(float))));
    return reinterpret_cast<T*>(loans_.back().data());
  }

  // The same for a list, whose values are made.
  template <typename T>
  T* ReserveList(int64_t count) {
    T* const list = Reserve<T>(count);
    if (list != nullptr) std::uninitialized_value_construct_n(list, count);
    return list;
  }

  // What a step takes beside the buffers of the list; for a plan that is counted.
  void Count(const WorkingMemory& of_step) { memory_.Add(of_step); }

  // The next step. `name` must outlive this.
  void Add(absl::string_view name, Step step) { steps_.emplace_back(name, std::move(step)); }

  // What Run takes; of a plan that is counted.
  const WorkingMemory& memory() const { return memory_; }

  // The names of the steps, in their order.
  std::vector<absl::string_view> StepNames() const {
    std::vector<absl::string_view> names;
    for (const auto& step : steps_) names.push_back(step.first);
    return names;
  }

  // Runs the steps in their order; the first that fails is the last. May be called again.
  absl::Status Run() {
    absl::Status status;
    for (auto it = steps_.begin(); it != steps_.end() && status.ok(); ++it) status = it->second();
    return status;
  }

 private:
  Executor* const executor_ = nullptr;  // null: the plan is counted
  WorkingMemory memory_;
  std::vector<Buffers::Loan> loans_;
  std::vector<std::pair<absl::string_view, Step>> steps_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_THREADS_PLAN_H_
