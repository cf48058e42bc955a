#ifndef ATTENTION_SERVER_ENGINE_JOB_H_
#define ATTENTION_SERVER_ENGINE_JOB_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "kernels/memory/working_memory.h"
#include "server/engine/any_call.h"
#include "server/engine/call_cost.h"
#include "server/host/reserved_bytes.h"

// A call on its way through the engine: what its caller sets, and what the engine adds.
namespace attention::engine {

using SteadyClock = std::chrono::steady_clock;

// How long the parts of a call took, and with how many others it ran.
struct CallTiming {
  SteadyClock::time_point started;
  absl::Duration queue;    // from Submit until then, when a compute thread took the call up
  absl::Duration prepare;  // making room for the results, of its whole batch
  absl::Duration compute;  // from then until the results were written
  int64_t batch_calls = 0;
};

// A call on its way through the engine.
struct Job {
  // Set by the caller before Engine::Submit.

  // Lives, with all memory that it points to, until `done` was called.
  AnyCall call;
  // What the call's request takes and its response will take; counted until the Job is destroyed.
  int64_t message_bytes = 0;
  SteadyClock::time_point deadline = SteadyClock::time_point::max();
  // Called at most once, on a compute thread, when the call's turn comes: makes room for the
  // results and sets the call's outputs. A failure ends the call.
  absl::AnyInvocable<absl::Status()> prepare;
  // Called once, last, if Submit took the job. Must not throw.
  absl::AnyInvocable<void(absl::Status status, const CallTiming& timing)> done;

  // Set by the engine.

  CallCost cost;
  std::string batch_key;
  WorkingMemory memory;      // that its plan counts
  double working_bytes = 0;  // of it, on the threads of the engine
  SteadyClock::time_point submitted;
  ReservedBytes reserved;                           // message_bytes
  std::atomic<bool> unwanted = false;               // its caller has left
  bool waits = false;                               // the scheduler's
  std::list<std::shared_ptr<Job>>::iterator place;  // the scheduler's, where `waits`

  bool IsOverdue(SteadyClock::time_point now) const { return now >= deadline; }
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_JOB_H_
