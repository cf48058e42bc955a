#include "server/engine/engine.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <exception>
#include <new>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/engine/batch_key.h"
#include "server/host/mib.h"

namespace attention::engine {
namespace {

// What `step` says. A foreign exception becomes a status here, and nowhere else in the engine.
template <typename Step>
absl::Status Guarded(Step step) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for this call; try again later");
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("attention failed: ", e.what()));
  }
}

absl::Duration Since(SteadyClock::time_point then) {
  return absl::FromChrono(SteadyClock::now() - then);
}

// Whether nobody waits for the job's result any more.
bool IsInVain(const Job& job) {
  return job.unwanted.load(std::memory_order_relaxed) ||
         (job.deadline != SteadyClock::time_point::max() && job.IsOverdue(SteadyClock::now()));
}

// Whether the job is done sooner than it would be handed over. Its operations do not tell of what
// it copies, nor of what each sequence takes; so its messages, memory and tokens are few as well.
bool IsTiny(const Job& job) {
  constexpr int64_t kMostBytes = 64 << 10, kMostTokens = 64;
  return job.cost.flop <= Scheduler::kTinyFlop && job.message_bytes <= kMostBytes &&
         job.working_bytes <= 1 << 20 && job.cost.tokens <= kMostTokens &&
         SequencesOf(job.call) <= 16;
}

std::vector<AnyCall> CallsOf(const std::vector<std::shared_ptr<Job>>& jobs) {
  std::vector<AnyCall> calls;
  calls.reserve(jobs.size());
  for (const auto& job : jobs) calls.push_back(job->call);
  return calls;
}

// Whether what `jobs` borrowed on `executor` is no more than what they were admitted with.
[[maybe_unused]] bool TookNoMoreThanCounted(const std::vector<std::shared_ptr<Job>>& jobs,
                                            Executor& executor) {
  double counted = 0;
  for (const auto& job : jobs) counted += job->memory.shared;
  return static_cast<double>(executor.buffers().MostLentBytes()) <= counted;
}

// A call for the output of one query over one key, with nothing in it: to be counted.
AttentionCall OneTokenCall(const CallShape& shape) {
  AttentionCall call;
  call.shape = shape;
  call.sequences.resize(1);
  call.settings.num_heads = shape.num_heads;
  call.settings.num_kv_heads = shape.num_kv_heads;
  call.wanted.Add(Result::kOutput);
  call.source = ProjectedSource();
  return call;
}

Scheduler::Options SchedulerOptions(const Engine::Options& options) {
  return {.slots = options.threads,
          .max_batch_tokens = options.max_batch_tokens,
          .max_message_bytes = options.max_message_bytes,
          .max_working_bytes = static_cast<double>(options.max_working_bytes),
          .max_queue = options.max_queue};
}

}  // namespace

Engine::Engine(const Options& options, PackedLayers& layers)
    : options_(options),
      layers_(layers),
      scheduler_(SchedulerOptions(options)),
      small_from_(static_cast<size_t>(options.threads) + 1),
      executor_(options.threads) {}

absl::Status Engine::CompileFor(int64_t head_dim) {
  const AttentionCall call = OneTokenCall({.head_dim = head_dim, .v_head_dim = head_dim});
  return CountMemory(&call, operators_, threads()).status();
}

absl::Status Engine::CompileFor(const std::shared_ptr<const StoredLayer>& layer) {
  if (std::holds_alternative<EncoderModel>(layer->model())) {
    EncodeCall call;
    call.layer = layer;
    call.lens = {1};
    call.ids = {0};
    return CountMemory(&call, operators_, threads()).status();
  }
  const auto& model = std::get<AttentionModel>(layer->model());
  AttentionCall call = OneTokenCall({.num_heads = model.num_heads,
                                     .num_kv_heads = model.num_kv_heads,
                                     .head_dim = model.head_dim,
                                     .v_head_dim = model.v_head_dim,
                                     .extra_keys = model.extra_keys});
  call.layer = layer;
  call.source = TokensSource{{}, {}, model.d_model, model.projections};
  return CountMemory(&call, operators_, threads()).status();
}

// What the job will take of the memory for intermediate results.
absl::Status Engine::CountMemoryOf(Job& job) {
  const absl::StatusOr<WorkingMemory> memory = CountMemory(job.call, operators_, threads());
  if (!memory.ok()) return memory.status();
  job.memory = *memory;
  job.working_bytes = memory->Bytes(threads());
  const auto limit = static_cast<double>(options_.max_working_bytes);
  if (job.working_bytes <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "the call needs %.0f MiB for intermediate results; this server grants a call %.0f MiB "
      "(--max_working_mib): send fewer sequences, tokens or heads at a time",
      std::ceil(job.working_bytes / kMib), limit / kMib));
}

absl::Status Engine::Submit(const std::shared_ptr<Job>& job) {
  if (absl::Status status = CountMemoryOf(*job); !status.ok()) return status;
  job->cost = std::visit([](const auto* call) { return CostOf(*call); }, job->call);
  if (IsTiny(*job)) {
    const std::shared_ptr<const PackedLayer> packed = FindPacked(*job);
    if (packed != nullptr || LayerOf(job->call) == nullptr) return RunAtOnce(job, packed);
  }
  job->batch_key = std::visit([](const auto* call) { return BatchKey(*call); }, job->call);
  if (absl::Status status = scheduler_.Add(job); !status.ok()) return status;
  WakeSlot();
  return absl::OkStatus();
}

// Null where the call names no layer, or one that is not packed.
std::shared_ptr<const PackedLayer> Engine::FindPacked(const Job& job) {
  const std::shared_ptr<const StoredLayer>& layer = LayerOf(job.call);
  return layer == nullptr ? nullptr : layers_.Find(*layer, ComputeTypeOf(job.call));
}

// On this thread, from here to its answer.
absl::Status Engine::RunAtOnce(const std::shared_ptr<Job>& job,
                               const std::shared_ptr<const PackedLayer>& packed) {
  if (absl::Status status = scheduler_.AddAtOnce(*job); !status.ok()) return status;
  CallTiming timing;
  timing.started = job->submitted;
  timing.batch_calls = 1;
  const Jobs jobs = Prepared({job}, timing);
  if (jobs.empty()) return absl::OkStatus();
  timing.prepare = Since(timing.started);
  Executor executor(executor_, Executor::OnCallingThread());
  absl::Status status = RunJobs(jobs, packed, executor);
  timing.compute = Since(timing.started) - timing.prepare;
  Report({.jobs = jobs, .flop = job->cost.flop, .tokens = job->cost.tokens}, timing.compute);
  Answer(job, std::move(status), timing);
  return absl::OkStatus();
}

// Where there is a free slot and something to do for it.
void Engine::WakeSlot() {
  if (scheduler_.TakeSlot()) executor_.Enqueue([this] { RunSlot(); });
}

void Engine::Cancel(const std::shared_ptr<Job>& job) {
  job->unwanted.store(true, std::memory_order_relaxed);
  if (!scheduler_.Withdraw(*job)) return;
  CallTiming timing;
  timing.started = SteadyClock::now();
  Answer(job, absl::CancelledError(), timing);
}

void Engine::RunSlot() {
  // A call that comes after Next found none, and before the slot is given back, finds it taken; so
  // Next does both under one lock.
  for (Batch batch = scheduler_.Next(); !batch.empty(); batch = scheduler_.Next()) {
    WakeSlot();  // another, which may have found too little memory until now
    RunBatch(batch, nullptr);
  }
}

// Between two tiles of a large batch.
void Engine::RunSmall(int slot) {
  if (!scheduler_.HasSmall()) return;
  // Half of the thread's time is the large batch's.
  std::atomic<SteadyClock::time_point>& not_before = small_from_[static_cast<size_t>(slot)];
  const SteadyClock::time_point started = SteadyClock::now();
  if (started < not_before.load(std::memory_order_relaxed)) return;
  // No layer that has yet to be packed: the tile that is to follow may be one that packs it.
  std::shared_ptr<const PackedLayer> packed;
  const Batch batch = scheduler_.NextSmall([&](const Job& job) {
    packed = FindPacked(job);
    return packed != nullptr || LayerOf(job.call) == nullptr;
  });
  if (batch.empty()) return;
  RunBatch(batch, packed);
  const SteadyClock::time_point ended = SteadyClock::now();
  not_before.store(ended + (ended - started), std::memory_order_relaxed);
}

// Answers those whose results nobody waits for, or have no room; returns the others.
Engine::Jobs Engine::Prepared(const Jobs& jobs, const CallTiming& timing) {
  Jobs prepared;
  for (const std::shared_ptr<Job>& job : jobs) {
    absl::Status status = executor_.stopped() || IsInVain(*job)
                              ? absl::CancelledError()
                              : Guarded([&] { return job->prepare(); });
    if (status.ok()) {
      prepared.push_back(job);
    } else {
      Answer(job, std::move(status), timing);
    }
  }
  return prepared;
}

// `packed` is the jobs' layer where it is at hand already.
absl::Status Engine::RunJobs(const Jobs& jobs, std::shared_ptr<const PackedLayer> packed,
                             Executor& executor) {
  return Guarded([&]() -> absl::Status {
    const AnyCall& any = jobs[0]->call;
    if (packed == nullptr && LayerOf(any) != nullptr) {
      auto resident = layers_.Get(LayerOf(any), ComputeTypeOf(any), executor);
      if (!resident.ok()) return resident.status();
      packed = *std::move(resident);
    }
    executor.buffers().ForgetMostLent();
    absl::Status status = RunCalls(CallsOf(jobs), packed.get(), operators_, executor);
    assert(TookNoMoreThanCounted(jobs, executor));
    return status;
  });
}

void Engine::RunBatch(const Batch& batch, const std::shared_ptr<const PackedLayer>& packed) {
  const SteadyClock::time_point started = SteadyClock::now();
  CallTiming timing;
  timing.started = started;
  timing.batch_calls = static_cast<int64_t>(batch.jobs.size());
  const Jobs jobs = Prepared(batch.jobs, timing);
  timing.prepare = Since(started);

  std::function<void(int slot)> run_between_tiles;
  if (!batch.IsSmall()) run_between_tiles = [this](int slot) { RunSmall(slot); };
  Executor executor(executor_,
                    {.run_between_tiles = std::move(run_between_tiles), .is_cancelled = [&jobs] {
                       return std::all_of(jobs.begin(), jobs.end(),
                                          [](const auto& job) { return IsInVain(*job); });
                     }});
  const SteadyClock::time_point prepared = SteadyClock::now();
  std::vector<absl::Status> statuses(jobs.size());
  if (!jobs.empty()) {
    const absl::Status together = RunJobs(jobs, packed, executor);
    const bool retry_individually =
        !together.ok() && !absl::IsCancelled(together) && jobs.size() > 1;
    for (size_t i = 0; i < jobs.size(); ++i) {
      statuses[i] = retry_individually ? RunJobs({jobs[i]}, packed, executor) : together;
    }
  }
  timing.compute = Since(prepared);
  double done_flop = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (statuses[i].ok()) done_flop += jobs[i]->cost.flop;
  }
  scheduler_.Finish(batch, done_flop);
  Report(batch, timing.compute);
  for (size_t i = 0; i < jobs.size(); ++i) Answer(jobs[i], std::move(statuses[i]), timing);
}

void Engine::Report(const Batch& batch, absl::Duration compute) const {
  if (!options_.on_batch) return;
  double in_vain = 0;
  for (const auto& job : batch.jobs) in_vain += IsInVain(*job) ? job->cost.flop : 0;
  options_.on_batch({.calls = static_cast<int64_t>(batch.jobs.size()),
                     .tokens = batch.tokens,
                     .compute = compute,
                     .wasted = compute * (in_vain / batch.flop)});
}

void Engine::Answer(const std::shared_ptr<Job>& job, absl::Status status, CallTiming timing) {
  timing.queue = absl::FromChrono(timing.started - job->submitted);
  if (absl::IsCancelled(status)) {
    if (job->IsOverdue(SteadyClock::now())) {
      status = absl::DeadlineExceededError("the deadline passed before the call was through");
    } else if (job->unwanted) {
      status = absl::CancelledError("the caller cancelled the call");
    } else {
      status = absl::UnavailableError("the server is shutting down; call another one");
    }
  }
  job->done(std::move(status), timing);
}

}  // namespace attention::engine
