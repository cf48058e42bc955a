#include "kernels/threads/executor.h"

#include <pthread.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/task_scheduler_observer.h>

#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "kernels/simd/instruction_set.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace attention {
namespace {

// oneTBB's library is not built with ThreadSanitizer, which therefore does not see that a task
// starts after it was handed over, nor that a loop ends after its tiles. These two functions tell
// it so; in other builds they do nothing.
void HandOver([[maybe_unused]] void* edge) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(edge);
#endif
}
void TakeOver([[maybe_unused]] void* edge) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(edge);
#endif
}

absl::Status RunTile(Executor::Tile tile, int64_t index, Workspace& workspace) {
  try {
    return tile(index, workspace);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for the working set of this call");
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("compute tile failed: ", e.what()));
  }
}

// Gives the threads of an arena their name as they enter it.
class ThreadNamer : public tbb::task_scheduler_observer {
 public:
  explicit ThreadNamer(tbb::task_arena& arena) : tbb::task_scheduler_observer(arena) {
    observe(true);
  }
  ~ThreadNamer() override { observe(false); }

  void on_scheduler_entry(bool is_worker) override {
    // A worker enters an arena for each burst of work, and naming it is a system call. The name
    // is the thread's own and oneTBB lends its threads to all arenas of the process, so only the
    // thread itself can know that it has one.
    thread_local bool is_named = false;
    if (!is_worker || is_named) return;
    pthread_setname_np(pthread_self(), Executor::kThreadName);
    is_named = true;
  }
};

// The failure with the lowest index among those reported. Thread-safe. The lock guards the status,
// and is held where the index changes, so that the two belong together; no other lock is taken
// under it.
class FirstFailure {
 public:
  explicit FirstFailure(int64_t count) : index_(count) {}

  bool Precedes(int64_t index) const { return index_.load(std::memory_order_relaxed) < index; }

  void Report(int64_t index, absl::Status status) {
    const absl::MutexLock lock(&mutex_);
    if (Precedes(index)) return;
    index_.store(index, std::memory_order_relaxed);
    status_ = std::move(status);
  }

  absl::Status Take() {
    const absl::MutexLock lock(&mutex_);
    return std::move(status_);
  }

 private:
  std::atomic<int64_t> index_;
  absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

struct Executor::Impl {
  explicit Impl(int threads)
      : parallelism(tbb::global_control::max_allowed_parallelism, threads + 1),
        arena(threads, /*reserved_for_masters=*/0),
        namer(arena),
        workspaces(threads + 1) {}

  // oneTBB counts the thread that starts the work among the allowed ones. Here that is a gRPC
  // thread, which does not compute, so one more is allowed.
  tbb::global_control parallelism;
  tbb::task_arena arena;
  ThreadNamer namer;
  // One workspace for each slot of the arena; one thread at a time holds a slot. An arena has at
  // least two slots.
  std::vector<Workspace> workspaces;
  tbb::task_group enqueued;
  std::atomic<bool> stopped = false;
  BufferPool pool;

  // The workspaces of loops that run on other threads than the compute threads. There are as many
  // as such loops ran at a time. The lock guards the list alone; no other lock is taken under it.
  absl::Mutex spare_mutex;
  std::vector<Workspace> spare_workspaces ABSL_GUARDED_BY(spare_mutex);
};

Executor::Executor(int threads) : impl_(std::make_shared<Impl>(threads)), buffers_(impl_->pool) {
  LimitInstructionSet();
}

Executor::Executor(const Executor& of, Hooks hooks)
    : impl_(of.impl_), buffers_(impl_->pool), hooks_(std::move(hooks)), is_first_(false) {}

Executor::Executor(const Executor& of, OnCallingThread /*where*/)
    : impl_(of.impl_), buffers_(impl_->pool), is_first_(false), runs_here_(true) {}

Executor::~Executor() {
  if (is_first_) impl_->arena.execute([this] { impl_->enqueued.wait(); });
}

int Executor::threads() const { return impl_->arena.max_concurrency(); }

void Executor::TrimMemory() { impl_->pool.Trim(); }

void Executor::Enqueue(absl::AnyInvocable<void()> task) {
  auto shared = std::make_shared<absl::AnyInvocable<void()>>(std::move(task));
  HandOver(shared.get());
  impl_->arena.enqueue(impl_->enqueued.defer([shared] {
    TakeOver(shared.get());
    try {
      (*shared)();
    } catch (...) {
      // The exception must not reach oneTBB, which would cancel the whole group, so that no task
      // would run any more.
    }
  }));
}

absl::Status Executor::RunHere(int64_t count, Tile tile) {
  Workspace workspace;
  {
    const absl::MutexLock lock(&impl_->spare_mutex);
    if (!impl_->spare_workspaces.empty()) {
      workspace = std::move(impl_->spare_workspaces.back());
      impl_->spare_workspaces.pop_back();
    }
  }
  absl::Status status;
  for (int64_t index = 0; index < count && status.ok(); ++index) {
    status = stopped() ? absl::CancelledError("stopped") : RunTile(tile, index, workspace);
  }
  const absl::MutexLock lock(&impl_->spare_mutex);
  impl_->spare_workspaces.push_back(std::move(workspace));
  return status;
}

absl::Status Executor::ParallelFor(int64_t count, Tile tile) {
  if (runs_here_) return RunHere(count, tile);
  FirstFailure failure(count);
  HandOver(&failure);
  const auto run_tile = [&](int64_t index) {
    TakeOver(&failure);
    const int slot = tbb::this_task_arena::current_thread_index();
    // This must come before the tile takes the thread's workspace, because the loops that run
    // between the tiles use it too.
    if (hooks_.run_between_tiles) hooks_.run_between_tiles(slot);
    Workspace& workspace = impl_->workspaces[slot];
    if (!failure.Precedes(index)) {
      const bool is_cancelled = stopped() || (hooks_.is_cancelled && hooks_.is_cancelled());
      absl::Status status =
          is_cancelled ? absl::CancelledError("stopped") : RunTile(tile, index, workspace);
      if (!status.ok()) failure.Report(index, std::move(status));
    }
    HandOver(&failure);
  };
  impl_->arena.execute([&] {
    // The loop is isolated: a thread that waits for this loop's last tile must not take up another
    // call, because that would delay this call's answer and overwrite the workspace of the tile
    // below it on the stack.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(int64_t{0}, count, run_tile, tbb::simple_partitioner()); });
  });
  TakeOver(&failure);
  return failure.Take();
}

void Executor::Stop() { impl_->stopped.store(true, std::memory_order_relaxed); }

bool Executor::stopped() const { return impl_->stopped.load(std::memory_order_relaxed); }

}  // namespace attention
