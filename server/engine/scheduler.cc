#include "server/engine/scheduler.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "absl/strings/str_format.h"
#include "server/engine/retry_after.h"
#include "server/host/mib.h"

namespace attention::engine {
namespace {

// How far down the queue a batch looks for calls like its first.
constexpr int kLookAhead = 512;

// Of max_queue, by when a call's turn has to come as measured: a machine that is shared becomes
// slower by a tenth or so while the call waits, now and then, and most calls are to be in time all
// the same.
constexpr double kSureShare = 0.9;

bool IsSmall(const Job& job) { return job.cost.flop <= Scheduler::kSmallFlop; }

double SecondsBetween(SteadyClock::time_point from, SteadyClock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

Scheduler::Scheduler(const Options& options)
    : options_(options), message_bytes_(std::make_shared<ReservedBytes::Counter>(0)) {}

// Of the batches that run, what the measured rate says is still to be done.
double Scheduler::SecondsUntilTurn(const Job& job, SteadyClock::time_point now) const {
  const double rate = rate_.flop_per_second();
  if (rate == 0) return 0;
  const bool skips_large_calls = IsSmall(job);  // the large calls
  double seconds = (skips_large_calls ? 2 * waiting_small_flop_ : waiting_flop_) / rate;
  if (skips_large_calls) return seconds;
  for (const Running& running : running_) {
    const double all = running.flop / rate;
    const double done = SecondsBetween(running.since, now) / static_cast<double>(running_.size());
    seconds += std::max(all - done, 0.05 * all);
  }
  return seconds;
}

// Those who are refused together do not come back together.
absl::Duration Scheduler::Jittered(double seconds) {
  return absl::Seconds(seconds * std::uniform_real_distribution(0.75, 1.25)(random_));
}

absl::Status Scheduler::CheckTime(const Job& job, SteadyClock::time_point now) {
  if (job.IsOverdue(now)) return absl::DeadlineExceededError("the deadline has passed");
  const double rate = rate_.flop_per_second();
  if (rate == 0) return absl::OkStatus();
  const double turn = SecondsUntilTurn(job, now);
  const double end = turn + job.cost.flop / rate;
  const double left = SecondsBetween(now, job.deadline);
  if (end > left) {
    return absl::DeadlineExceededError(
        absl::StrFormat("the call would be through in about %.3f s, its deadline is in %.3f s; "
                        "allow more time or call another server",
                        end, left));
  }
  const double most = absl::ToDoubleSeconds(options_.max_queue);
  if (turn <= kSureShare * most) return absl::OkStatus();
  // When half of the queue's time will be free again, so that those who come back find room.
  return WithRetryAfter(
      absl::ResourceExhaustedError(absl::StrFormat(
          "the server is busy: the call's turn would come in about %.3f s, and calls wait %.3f s "
          "at most (--max_queue_ms); try again later or call another server",
          turn, most)),
      Jittered(turn - most / 2));
}

absl::Status Scheduler::Add(const std::shared_ptr<Job>& job) {
  const absl::MutexLock lock(&mutex_);
  const SteadyClock::time_point now = SteadyClock::now();
  absl::Status status = CheckTime(*job, now);
  if (status.ok()) status = Reserve(*job, now);
  if (!status.ok()) return status;
  job->place = queue_.insert(queue_.end(), job);
  job->waits = true;
  waiting_flop_ += job->cost.flop;
  if (IsSmall(*job)) {
    waiting_small_flop_ += job->cost.flop;
    ++small_calls_;
  }
  return absl::OkStatus();
}

absl::Status Scheduler::AddAtOnce(Job& job) {
  const absl::MutexLock lock(&mutex_);
  const SteadyClock::time_point now = SteadyClock::now();
  if (job.IsOverdue(now)) return absl::DeadlineExceededError("the deadline has passed");
  return Reserve(job, now);
}

// Counts the call's messages from now on, if there is room for them.
absl::Status Scheduler::Reserve(Job& job, SteadyClock::time_point now) {
  const int64_t in_flight = *message_bytes_;
  if (in_flight + job.message_bytes > options_.max_message_bytes) {
    const double rate = rate_.flop_per_second();
    const double seconds = rate == 0 ? 0.1 : waiting_flop_ / rate / 2;
    return WithRetryAfter(
        absl::ResourceExhaustedError(absl::StrFormat(
            "the server is busy: the call and its answer take %.1f MiB, and those in flight "
            "%.1f of %.1f MiB (--max_queued_mib); try again later or call another server",
            static_cast<double>(job.message_bytes) / kMib, static_cast<double>(in_flight) / kMib,
            static_cast<double>(options_.max_message_bytes) / kMib)),
        Jittered(seconds));
  }
  job.reserved = ReservedBytes(message_bytes_, job.message_bytes);
  job.submitted = now;
  return absl::OkStatus();
}

bool Scheduler::TakeSlot() {
  const absl::MutexLock lock(&mutex_);
  if (queue_.empty() || slots_taken_ == options_.slots || !Fits(*queue_.front())) return false;
  ++slots_taken_;
  return true;
}

bool Scheduler::Fits(const Job& job) const {
  return running_.empty() || working_bytes_ + job.working_bytes <= options_.max_working_bytes;
}

Scheduler::Batch Scheduler::Next() {
  const absl::MutexLock lock(&mutex_);
  // A call whose memory others hold is taken up by the slot of one of these when it is through.
  if (queue_.empty() || !Fits(*queue_.front())) {
    --slots_taken_;
    return {};
  }
  return Gather(queue_.begin(), options_.max_batch_flop, SteadyClock::now());
}

Scheduler::Batch Scheduler::NextSmall(absl::FunctionRef<bool(const Job&)> may_run) {
  const absl::MutexLock lock(&mutex_);
  int seen = 0;
  for (auto it = queue_.begin(); it != queue_.end() && seen < kLookAhead; ++it, ++seen) {
    if (IsSmall(**it) && Fits(**it) && may_run(**it)) {
      return Gather(it, kSmallFlop, SteadyClock::now());
    }
  }
  return {};
}

// The batch of `first` and those behind it that may join it.
Scheduler::Batch Scheduler::Gather(Queue::iterator first, double max_flop,
                                   SteadyClock::time_point now) {
  Batch batch;
  const Job* const leader = first->get();
  int seen = 0;
  for (auto it = first; it != queue_.end() && seen < kLookAhead; ++seen) {
    const auto place = it++;
    const Job& job = **place;
    const bool joins =
        &job == leader || (!leader->batch_key.empty() && job.batch_key == leader->batch_key &&
                           working_bytes_ + job.working_bytes <= options_.max_working_bytes &&
                           batch.tokens + job.cost.tokens <= options_.max_batch_tokens &&
                           batch.flop + job.cost.flop <= max_flop);
    if (joins) Take(place, batch);
    if (batch.tokens >= options_.max_batch_tokens || leader->batch_key.empty()) break;
  }
  if (running_.empty()) rate_.Resume(now);
  running_.push_back({leader, batch.flop, now});
  return batch;
}

void Scheduler::Take(Queue::iterator place, Batch& batch) {
  Job& job = **place;
  batch.flop += job.cost.flop;
  batch.tokens += job.cost.tokens;
  batch.working_bytes += job.working_bytes;
  working_bytes_ += job.working_bytes;
  batch.jobs.push_back(*place);
  Leave(job);
}

// Takes a job that waits out of the queue.
void Scheduler::Leave(Job& job) {
  waiting_flop_ -= job.cost.flop;
  if (IsSmall(job)) {
    waiting_small_flop_ -= job.cost.flop;
    --small_calls_;
  }
  job.waits = false;
  queue_.erase(job.place);
  if (queue_.empty()) waiting_flop_ = waiting_small_flop_ = 0;  // no error of rounding stays
}

void Scheduler::Finish(const Batch& batch, double done_flop) {
  const absl::MutexLock lock(&mutex_);
  working_bytes_ -= batch.working_bytes;
  const SteadyClock::time_point now = SteadyClock::now();
  if (done_flop > 0) {
    rate_.Done(done_flop, now);
  } else {
    rate_.Resume(now);
  }
  const Job* const first = batch.jobs.front().get();
  running_.erase(std::find_if(running_.begin(), running_.end(),
                              [&](const Running& running) { return running.first == first; }));
  if (running_.empty()) working_bytes_ = 0;
}

bool Scheduler::Withdraw(Job& job) {
  const absl::MutexLock lock(&mutex_);
  if (!job.waits) return false;
  const std::shared_ptr<Job> keep = *job.place;
  Leave(job);
  return true;
}

Scheduler::Load Scheduler::load() const {
  const absl::MutexLock lock(&mutex_);
  Load load = {.waiting_calls = static_cast<int64_t>(queue_.size()),
               .waiting_flop = waiting_flop_,
               .running_batches = static_cast<int64_t>(running_.size()),
               .message_bytes = *message_bytes_,
               .working_bytes = working_bytes_,
               .flop_per_second = rate_.flop_per_second(),
               .oldest_waits = absl::ZeroDuration()};
  if (!queue_.empty()) {
    load.oldest_waits = absl::FromChrono(SteadyClock::now() - queue_.front()->submitted);
  }
  return load;
}

}  // namespace attention::engine
