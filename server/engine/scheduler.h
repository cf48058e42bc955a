#ifndef ATTENTION_SERVER_ENGINE_SCHEDULER_H_
#define ATTENTION_SERVER_ENGINE_SCHEDULER_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <random>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/engine/drain_rate.h"
#include "server/engine/job.h"

namespace attention::engine {

// Which calls run next, and which are not taken at all. Knows the calls' cost, not what they
// compute. Thread-safe.
//
// The rule. Calls wait in the order in which they came; up to `slots` batches run at a time. A free
// slot takes the oldest call and with it all that wait for the same (BatchKey), up to a budget of
// tokens and operations; it never waits for more to come. A batch that is small (kSmallFlop, some
// milliseconds) does not have to wait for a slot: between two tiles of a large batch a thread takes
// small calls first, the oldest of them and what batches with it, but spends no more than half of
// its time on them. So a small call waits about a tile, however large the calls before it, and a
// large one is slowed down by half at the most. A call that is done sooner than it would be handed
// over (kTinyFlop, some 30 microseconds) does not wait at all: the thread that brought it computes
// it (Engine::Submit).
//
// Admission. What waits and runs is known in operations, and how many a second get done is
// measured. A call is refused at once where its turn would come later than max_queue from now (a
// tenth of which is kept for what the measure does not foresee), where it would end after its
// deadline, or where the messages of the calls in flight would take more than max_message_bytes.
//
// The lock guards what waits and what runs, and of each Job `waits` and `place`. Every call takes
// it a few times, so nothing is computed under it and nobody is waited for. NextSmall asks
// `may_run` under it, which looks into the packed layers: only their lock is taken after this one.
class Scheduler {
 public:
  struct Options {
    int slots = 1;
    int64_t max_batch_tokens = 1024;  // 0: each call runs alone
    double max_batch_flop = 4e9;
    int64_t max_message_bytes = int64_t{1} << 30;
    // Of the batches that run. One call alone never takes more (Engine::Submit).
    double max_working_bytes = 1 << 30;
    absl::Duration max_queue = absl::InfiniteDuration();
  };

  static constexpr double kSmallFlop = 2.5e8;
  static constexpr double kTinyFlop = 3e6;  // of which CostOf counts 2e6 for every call

  // Calls that run together: as many as agree in their key.
  struct Batch {
    std::vector<std::shared_ptr<Job>> jobs;
    double flop = 0;
    int64_t tokens = 0;
    double working_bytes = 0;
    bool IsSmall() const { return flop <= kSmallFlop; }
    bool empty() const { return jobs.empty(); }
  };

  // What there is to do at this moment.
  struct Load {
    int64_t waiting_calls = 0;
    double waiting_flop = 0;
    int64_t running_batches = 0;
    int64_t message_bytes = 0;    // of the calls in flight
    double working_bytes = 0;     // of the batches that run
    double flop_per_second = 0;   // as measured; 0: not known yet
    absl::Duration oldest_waits;  // how long the oldest call has waited
  };

  explicit Scheduler(const Options& options);

  // Lets the job wait, whose cost, batch_key and working_bytes are set. RESOURCE_EXHAUSTED with a
  // RetryAfter, or DEADLINE_EXCEEDED.
  absl::Status Add(const std::shared_ptr<Job>& job);

  // Takes a job that will run at once and not wait: its memory counts, and nothing else. Fails as
  // Add.
  absl::Status AddAtOnce(Job& job);

  // Whether there is a free slot and something that waits for one: then the slot is the caller's,
  // who calls Next until that returns nothing.
  bool TakeSlot();
  // The next batch for a slot. An empty one gives the slot back.
  Batch Next();
  // The next small batch of calls that `may_run`, or an empty one; needs no slot.
  Batch NextSmall(absl::FunctionRef<bool(const Job&)> may_run);
  // The batch is through. Each that is not empty, once. `done_flop`: of the calls that were
  // computed to their ends.
  void Finish(const Batch& batch, double done_flop);

  // Whether the job waited; then it does not any more.
  bool Withdraw(Job& job);

  // Whether a NextSmall might find something; costs next to nothing.
  bool HasSmall() const { return small_calls_.load(std::memory_order_relaxed) > 0; }

  Load load() const;

 private:
  using Queue = std::list<std::shared_ptr<Job>>;
  struct Running {
    const Job* first;
    double flop;
    SteadyClock::time_point since;
  };

  absl::Status CheckTime(const Job& job, SteadyClock::time_point now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Reserve(Job& job, SteadyClock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration Jittered(double seconds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double SecondsUntilTurn(const Job& job, SteadyClock::time_point now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Batch Gather(Queue::iterator first, double max_flop, SteadyClock::time_point now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Take(Queue::iterator place, Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Leave(Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Fits(const Job& job) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::shared_ptr<ReservedBytes::Counter> message_bytes_;
  std::atomic<int64_t> small_calls_ = 0;  // that wait
  mutable absl::Mutex mutex_;
  Queue queue_ ABSL_GUARDED_BY(mutex_);  // the oldest first
  double waiting_flop_ ABSL_GUARDED_BY(mutex_) = 0;
  double waiting_small_flop_ ABSL_GUARDED_BY(mutex_) = 0;
  int slots_taken_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Running> running_ ABSL_GUARDED_BY(mutex_);
  double working_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  DrainRate rate_ ABSL_GUARDED_BY(mutex_);
  std::minstd_rand random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_SCHEDULER_H_
