#ifndef ATTENTION_KERNELS_THREADS_EXECUTOR_H_
#define ATTENTION_KERNELS_THREADS_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "kernels/memory/aligned_buffer.h"
#include "kernels/memory/buffer_pool.h"

namespace attention {

// Scratch memory of one compute thread. It grows to the largest tile that the thread has run and
// keeps that size, so that a warm thread allocates nothing. A tile owns it until the tile returns.
using Workspace = AlignedBuffer;

// The process's compute threads: one oneTBB arena with a fixed number of slots. Thread-safe. A
// process makes one Executor and shares it.
class Executor {
 public:
  // The name of each compute thread, as the operating system shows it.
  static constexpr char kThreadName[] = "compute";

  // One unit of a parallel loop; `index` is 0 <= index < count. It must not start a loop itself.
  using Tile = absl::FunctionRef<absl::Status(int64_t index, Workspace& workspace)>;

  // What a loop calls before each of its tiles, on the thread that is to run the tile, and
  // therefore from several threads at a time. Hooks must not throw. An empty hook is not called.
  struct Hooks {
    // Runs other work, including whole loops, so that short work need not wait for the end of a
    // long loop. These loops must not have a run_between_tiles themselves. `slot` is the thread's
    // place among those that run tiles, 0 <= slot <= threads(); no other thread has it at the same
    // time.
    std::function<void(int slot)> run_between_tiles;
    // Returns whether the result is no longer wanted. The loop then ends, as Stop ends all loops.
    std::function<bool()> is_cancelled;
  };

  // `threads` is at least 1.
  explicit Executor(int threads);
  // Uses the threads of `of`, which must outlive this, for one piece of work, whose loops call the
  // hooks.
  Executor(const Executor& of, Hooks hooks);
  // For work that is so short that handing it to other threads would take longer than the work
  // itself. Its loops run tile after tile on the calling thread, which is not one of the compute
  // threads.
  struct OnCallingThread {};
  Executor(const Executor& of, OnCallingThread);
  ~Executor();  // that of the first Executor waits for all enqueued tasks
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  int threads() const;

  // Memory that the threads share within a call. All executors that share threads borrow from one
  // pool; each counts what was borrowed through itself.
  Buffers& buffers() { return buffers_; }

  // Frees the memory that is kept for the next calls.
  void TrimMemory();

  // Runs `task` on a compute thread, some time after this function returns, and also after Stop.
  // Tasks may call ParallelFor. A task must not throw; if it does, it ends there and the exception
  // is dropped, and the other tasks go on.
  void Enqueue(absl::AnyInvocable<void()> task);

  // Runs tile(0) ... tile(count - 1) on the compute threads in any order and waits for them.
  //
  // Fails with the error of the lowest index that failed. Only tiles after a failure may be
  // skipped, so the error does not depend on timing. What a tile throws becomes a status here:
  // std::bad_alloc RESOURCE_EXHAUSTED, anything else INTERNAL.
  //
  // CANCELLED if Stop or is_cancelled prevented a tile from running and no tile before it failed.
  absl::Status ParallelFor(int64_t count, Tile tile);

  // From now on no tile begins. Loops that are running end as soon as the tiles that they have
  // begun are finished. This cannot be undone.
  void Stop();
  bool stopped() const;

 private:
  struct Impl;
  absl::Status RunHere(int64_t count, Tile tile);

  std::shared_ptr<Impl> impl_;
  Buffers buffers_;
  const Hooks hooks_;
  const bool is_first_ = true;
  const bool runs_here_ = false;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_THREADS_EXECUTOR_H_
