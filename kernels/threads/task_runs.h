#ifndef ATTENTION_KERNELS_THREADS_TASK_RUNS_H_
#define ATTENTION_KERNELS_THREADS_TASK_RUNS_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "kernels/memory/buffer_pool.h"

namespace attention {

// Numbers the tasks of several sequences one after another: first those of sequence 0, then those
// of sequence 1, and so on. One parallel loop can then run all of them.
class TaskRuns {
 public:
  // `count` says how many tasks each of `sequences` has, 0 or more. Borrows memory from `buffers`,
  // which must outlive this, if there are kFew sequences or more.
  template <typename Sequence, typename Count>
  TaskRuns(absl::Span<const Sequence> sequences, Count count, Buffers& buffers)
      : size_(static_cast<int64_t>(sequences.size())) {
    if (size_ >= kFew) many_.emplace(buffers.Borrow((size_ + 1) * kFloatsEach));
    int64_t* const first = many_ ? reinterpret_cast<int64_t*>(many_->data()) : few_;
    first[0] = 0;
    for (int64_t i = 0; i < size_; ++i) first[i + 1] = first[i] + count(sequences[i]);
    first_ = first;
  }
  TaskRuns(const TaskRuns&) = delete;
  TaskRuns& operator=(const TaskRuns&) = delete;

  // The bytes that are borrowed for this number of sequences.
  static double BorrowedBytes(size_t sequences) {
    return sequences >= kFew
               ? static_cast<double>(sizeof(int64_t)) * static_cast<double>(sequences + 1)
               : 0;
  }

  int64_t total() const { return first_[size_]; }

  struct Place {
    int64_t sequence;
    int64_t task;  // within the sequence
  };
  Place Find(int64_t task) const {
    const int64_t* const it = std::upper_bound(first_, first_ + size_ + 1, task) - 1;
    return {it - first_, task - *it};
  }
  // The number of tasks before those of the sequence.
  int64_t First(int64_t sequence) const { return first_[sequence]; }

 private:
  static constexpr int64_t kFew = 128;
  static constexpr int64_t kFloatsEach = sizeof(int64_t) / sizeof(float);

  int64_t size_;
  int64_t few_[kFew];
  std::optional<Buffers::Loan> many_;
  const int64_t* first_;  // [size_ + 1], in few_ or in many_
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_THREADS_TASK_RUNS_H_
