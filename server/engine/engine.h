#ifndef ATTENTION_SERVER_ENGINE_ENGINE_H_
#define ATTENTION_SERVER_ENGINE_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/threads/executor.h"
#include "server/engine/call_plan.h"
#include "server/engine/job.h"
#include "server/engine/operators.h"
#include "server/engine/scheduler.h"
#include "server/models/packed_layers.h"

namespace attention::engine {

// Runs calls on the process's compute threads, those that are alike as one batch: a call's results
// have the same bits whatever it runs with. Thread-safe. The destructor waits for the calls in
// flight.
class Engine {
 public:
  // What became of a batch, for metrics.
  struct BatchReport {
    int64_t calls = 0;
    int64_t tokens = 0;
    absl::Duration compute;
    absl::Duration wasted;  // its part for calls whose callers had left, or which were overdue
  };

  struct Options {
    int threads = 1;  // compute threads, at least 1; see CpuBudget
    // The most memory that the calls which run may take for intermediate results (projections,
    // packed keys and values, tiles), beside their requests and responses.
    int64_t max_working_bytes = int64_t{1} << 30;
    // The most that the requests and responses of the calls in flight may take.
    int64_t max_message_bytes = int64_t{1} << 30;
    // A call whose turn would come later than this is refused.
    absl::Duration max_queue = absl::InfiniteDuration();
    int64_t max_batch_tokens = 1024;  // 0: each call runs alone
    // Called on a compute thread after each batch, before its calls are done. Must not throw.
    std::function<void(const BatchReport&)> on_batch = nullptr;
  };

  // `layers`, which must outlive this, packs the weights of calls that name a stored layer.
  Engine(const Options& options, PackedLayers& layers);

  // Takes the job, or refuses it: then job->done is not called. Compiles the operator of a call
  // that is the first of its widths, about a millisecond; computes nothing but calls of a few
  // microseconds (Scheduler::kTinyFlop), whose job->done is called before this returns.
  //   INVALID_ARGUMENT    needs more than max_working_bytes; the message says how to mend it
  //   RESOURCE_EXHAUSTED  too much waits already; with a RetryAfter
  //   DEADLINE_EXCEEDED   it would be overdue before it is through
  // What job->done is told:
  //   INVALID_ARGUMENT    a row of scores sums to no more than its rounding error under SUM; the
  //                       message says how to mend it
  //   RESOURCE_EXHAUSTED  no memory, or none for a stored layer
  //   UNAVAILABLE         Stop cut the call off
  //   DEADLINE_EXCEEDED, CANCELLED  overdue, or Cancel
  //   INTERNAL            our fault
  absl::Status Submit(const std::shared_ptr<Job>& job);

  // Makes the operators of calls whose queries, keys and values have heads of this width, in
  // float32; or those of calls for a stored layer. So their first caller need not wait for some
  // milliseconds. Computes nothing and packs no weights. Fails as such a call would.
  absl::Status CompileFor(int64_t head_dim);
  absl::Status CompileFor(const std::shared_ptr<const StoredLayer>& layer);

  // The caller has left. A job that waits is done now, on this thread; one that runs, between two
  // tiles, unless others of its batch are still wanted. A job that is done already stays so.
  void Cancel(const std::shared_ptr<Job>& job);

  // Frees the memory that is kept for the next calls.
  void TrimMemory() { executor_.TrimMemory(); }

  // Calls that run end between two tiles, and those that wait at once. For good.
  void Stop() { executor_.Stop(); }

  int threads() const { return executor_.threads(); }
  int64_t max_working_bytes() const { return options_.max_working_bytes; }
  Scheduler::Load load() const { return scheduler_.load(); }

 private:
  using Batch = Scheduler::Batch;
  using Jobs = std::vector<std::shared_ptr<Job>>;

  absl::Status CountMemoryOf(Job& job);
  std::shared_ptr<const PackedLayer> FindPacked(const Job& job);
  absl::Status RunAtOnce(const std::shared_ptr<Job>& job,
                         const std::shared_ptr<const PackedLayer>& packed);
  void WakeSlot();
  void RunSlot();
  void RunSmall(int slot);
  void RunBatch(const Batch& batch, const std::shared_ptr<const PackedLayer>& packed);
  absl::Status RunJobs(const Jobs& jobs, std::shared_ptr<const PackedLayer> packed,
                       Executor& executor);
  Jobs Prepared(const Jobs& jobs, const CallTiming& timing);
  void Report(const Batch& batch, absl::Duration compute) const;
  static void Answer(const std::shared_ptr<Job>& job, absl::Status status, CallTiming timing);

  const Options options_;
  PackedLayers& layers_;
  Operators operators_;
  Scheduler scheduler_;
  // By slot of the executor: when a thread between two tiles may take up small calls again. A slot
  // is one thread's at a time; it may be another's later, hence the atomics.
  std::vector<std::atomic<SteadyClock::time_point>> small_from_;
  Executor executor_;  // last: its destructor waits for calls that use what stands above
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ENGINE_H_
