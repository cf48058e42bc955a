#ifndef ATTENTION_KERNELS_MEMORY_WORKING_MEMORY_H_
#define ATTENTION_KERNELS_MEMORY_WORKING_MEMORY_H_

#include <algorithm>

namespace attention {

// What a computation takes beside its inputs and results, in bytes; doubles, which do not overflow.
struct WorkingMemory {
  // Once for a call: short lists of its steps, and what memory is rounded up to by the allocator.
  static constexpr double kSmallBytes = 32 << 10;

  double shared = 0;     // lists, and what is borrowed from the executor's buffers
  double workspace = 0;  // of each thread that takes part

  double Bytes(int threads) const { return shared + workspace * threads; }

  // A step before or after this one. What both borrow is added up, since the buffers of one step
  // may be too small for the other and are kept all the same; a thread's workspace serves both.
  void Add(const WorkingMemory& step) {
    shared += step.shared;
    workspace = std::max(workspace, step.workspace);
  }
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_WORKING_MEMORY_H_
