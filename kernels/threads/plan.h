#ifndef ATTENTION_KERNELS_THREADS_PLAN_H_
#define ATTENTION_KERNELS_THREADS_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/memory/aligned_buffer.h"
#include "kernels/memory/buffer_pool.h"
#include "kernels/memory/tiles.h"
#include "kernels/memory/working_memory.h"
#include "kernels/threads/executor.h"

namespace attention {

// A computation as a list of steps, in the order of the mathematics, and of the buffers that lie
// between them.
//
// The same code writes a plan that is only counted, before the computation allocates anything, and
// a plan that is run. So the list of buffers that admission counts is the list that the run
// borrows. The code that writes a plan reserves each buffer, whose address is null if the plan is
// only counted, and adds the steps that read and write it. A step or a buffer that a computation
// does not need is not in its plan.
//
// A plan is used by one thread; its steps use all threads of the executor.
class Plan {
 public:
  using Step = absl::AnyInvocable<absl::Status(Executor& executor)>;

  // Makes a plan that is only counted.
  Plan() = default;
  // Makes a plan that is run on `executor`, which must outlive it.
  explicit Plan(Executor& executor) : executor_(&executor) {}

  bool is_counted() const { return executor_ == nullptr; }

  // Returns uninitialised memory for `count` values, which lives as long as the plan; null if the
  // plan is only counted or `count` is 0. Throws std::bad_alloc.
  template <typename T>
  T* Reserve(int64_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= AlignedBuffer::kAlignment);
    if (is_counted()) {
      memory_.shared += static_cast<double>(sizeof(T)) * static_cast<double>(count);
      return nullptr;
    }
    const int64_t floats = CeilDiv(count * static_cast<int64_t>(sizeof(T)), sizeof(float));
    return floats == 0 ? nullptr : reinterpret_cast<T*>(Memory(floats));
  }

  // The same, with the values constructed.
  template <typename T>
  T* ReserveList(int64_t count) {
    T* const list = Reserve<T>(count);
    if (list != nullptr) std::uninitialized_value_construct_n(list, count);
    return list;
  }

  // Counts the memory that a step needs beside the reserved buffers. Only for a plan that is
  // counted.
  void Count(const WorkingMemory& of_step) { memory_.Add(of_step); }

  // Adds the next step; a plan that is counted keeps the name alone. `name` must outlive the plan.
  void Add(absl::string_view name, Step step) {
    names_.push_back(name);
    if (!is_counted()) steps_.push_back(std::move(step));
  }

  // The memory that Run needs. Only for a plan that is counted.
  const WorkingMemory& memory() const { return memory_; }

  // The names of the steps, in their order.
  absl::Span<const absl::string_view> step_names() const { return names_; }

  // Runs the steps in their order and stops at the first that fails. Only for a plan that is run.
  absl::Status Run() {
    absl::Status status;
    for (auto it = steps_.begin(); it != steps_.end() && status.ok(); ++it) {
      status = (*it)(*executor_);
    }
    return status;
  }

 private:
  // A short list would take a large buffer away from the next call that needs one.
  static constexpr int64_t kLeastBorrowed = 4096;  // floats

  float* Memory(int64_t floats) {
    if (floats < kLeastBorrowed) return small_.emplace_back(floats).data();
    return loans_.emplace_back(executor_->buffers().Borrow(floats)).data();
  }

  Executor* const executor_ = nullptr;  // null: the plan is counted
  WorkingMemory memory_;
  std::vector<AlignedBuffer> small_;
  std::vector<Buffers::Loan> loans_;
  std::vector<absl::string_view> names_;
  std::vector<Step> steps_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_THREADS_PLAN_H_
