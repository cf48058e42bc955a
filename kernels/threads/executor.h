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

// Scratch memory of one compute thread. It grows to the largest tile that the thread has seen and
// stays, so a warm thread allocates nothing. A tile owns it until it returns.
using Workspace = AlignedBuffer;

// The process's compute threads: one oneTBB arena with a fixed number of slots. Thread-safe. Make
// one and share it.
class Executor {
 public:
  // The name of each compute thread, as the operating system shows it.
  static constexpr char kThreadName[] = "compute";

  // One unit of a parallel loop; `index` is 0 <= index < count. It must not start a loop itself.
  using Tile = absl::FunctionRef<absl::Status(int64_t index, Workspace& workspace)>;

  // What a loop calls before each of its tiles, on the thread that is to run the tile; so by
  // several threads at a time. Must not throw. What is empty is not called.
  struct Hooks {
    // Runs other work first, loops included, so that short work need not wait until a long loop is
    // through. Its loops must have no run_between_tiles of their own. `slot` is the thread's place
    // among those that run tiles, 0 <= slot <= threads(); no other thread has it at the same time.
    std::function<void(int slot)> run_between_tiles;
    // Whether the result is not wanted any more: then the loop ends as Stop ends all.
    std::function<bool()> is_cancelled;
  };

  // `threads` at least 1.
  explicit Executor(int threads);
  // The threads of `of`, which must outlive this, for one piece of work. Its loops call the hooks.
  Executor(const Executor& of, Hooks hooks);
  // For work so short that handing it over would take longer: its loops run on the thread that
  // calls them, tile after tile, beside the compute threads.
  struct OnCallingThread {};
  Executor(const Executor& of, OnCallingThread);
  ~Executor();  // the first of them waits for the tasks that were enqueued
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  int threads() const;

  // Memory that the threads share within a call, from one pool for all that began with the first
  // executor. What is borrowed here counts as this executor's.
  Buffers& buffers() { return buffers_; }

  // Frees the memory that is kept for the next calls.
  void TrimMemory();

  // Runs `task` on a compute thread, some time after this returns; after Stop too. Tasks may call
  // ParallelFor. They must not throw: one that does ends there, and the others go on.
  void Enqueue(absl::AnyInvocable<void()> task);

  // Runs tile(0) ... tile(count - 1) on the compute threads in any order and waits for them.
  //
  // Fails with the error of the lowest index that failed; tiles behind a failure may be skipped, so
  // the error does not depend on timing. What a tile throws becomes a status here: std::bad_alloc
  // RESOURCE_EXHAUSTED, anything else INTERNAL.
  //
  // CANCELLED where Stop or is_cancelled kept a tile from being run and none before it failed.
  absl::Status ParallelFor(int64_t count, Tile tile);

  // From now on no tile begins: loops end, those under way as soon as the tiles that they have
  // begun are through. For good.
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
