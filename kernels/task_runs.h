#ifndef ATTENTION_KERNELS_TASK_RUNS_H_
#define ATTENTION_KERNELS_TASK_RUNS_H_

#include <algorithm>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"

namespace attention {

// Tasks of several sequences counted through: those of the first, then those of the second, and so
// on.
class TaskRuns {
 public:
  // `count` says how many tasks each of `sequences` has, 0 or more.
  template <typename Sequence, typename Count>
  TaskRuns(absl::Span<const Sequence> sequences, Count count) {
    first_.push_back(0);
    for (const Sequence& s : sequences) first_.push_back(first_.back() + count(s));
  }
  int64_t total() const { return first_.back(); }

  struct Place {
    int64_t sequence;
    int64_t task;  // within the sequence
  };
  Place Find(int64_t task) const {
    const auto it = std::upper_bound(first_.begin(), first_.end(), task) - 1;
    return {it - first_.begin(), task - *it};
  }
  // The tasks before those of the sequence.
  int64_t First(int64_t sequence) const { return first_[sequence]; }

 private:
  absl::InlinedVector<int64_t, 128> first_;  // larger batches allocate
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_TASK_RUNS_H_
