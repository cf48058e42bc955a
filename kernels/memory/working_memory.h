#ifndef ATTENTION_KERNELS_MEMORY_WORKING_MEMORY_H_
#define ATTENTION_KERNELS_MEMORY_WORKING_MEMORY_H_

#include <algorithm>

namespace attention {

// The memory that a computation needs beside its inputs and results, in bytes. The numbers are
// doubles so that sums of huge sizes do not overflow.
struct WorkingMemory {
  // Counted once for each call: short lists of its steps, and what the allocator adds by rounding
  // sizes up.
  static constexpr double kSmallBytes = 32 << 10;

  double shared = 0;     // lists, and what is borrowed from the executor's buffers
  double workspace = 0;  // of each thread that takes part

  double Bytes(int threads) const { return shared + workspace * threads; }

  // Adds the memory of a step that runs before or after this one. Shared memory is added up,
  // because the buffers of one step may be too small for the other and stay allocated all the same.
  // A thread's workspace serves both steps, so the larger one counts.
  void Add(const WorkingMemory& step) {
    shared += step.shared;
    workspace = std::max(workspace, step.workspace);
  }
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_WORKING_MEMORY_H_
