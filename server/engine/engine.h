#ifndef ATTENTION_SERVER_ENGINE_ENGINE_H_
#define ATTENTION_SERVER_ENGINE_ENGINE_H_

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "kernels/executor.h"
#include "server/engine/attention_call.h"
#include "server/engine/call_runner.h"
#include "server/engine/encode_call.h"
#include "server/engine/encode_runner.h"
#include "server/engine/layers/packed_layers.h"

namespace attention::engine {

// How long the parts of a call took.
struct CallTiming {
  absl::Duration queue;    // from Submit until a compute thread took the call up
  absl::Duration prepare;  // in `prepare`
  absl::Duration compute;  // from then until the results were written
};

// Runs calls on the process's compute threads. Thread-safe. The destructor waits for the calls in
// flight.
class Engine {
 public:
  struct Options {
    int threads = 1;  // compute threads, at least 1; see CpuBudget
    // The most memory that one call may take for intermediate results (projections, packed keys and
    // values, tiles), beside its request and response.
    int64_t max_working_bytes = int64_t{1} << 30;
  };

  // Called once a call, on a compute thread, when its turn comes: makes room for the results and
  // sets call.outputs. A failure ends the call.
  using Prepare = absl::AnyInvocable<absl::Status()>;
  // Called once a call, last, on a compute thread. Must not throw.
  using Done = absl::AnyInvocable<void(absl::Status status, CallTiming timing)>;

  // `layers`, which must outlive this, packs the weights of calls that name a stored layer.
  Engine(const Options& options, PackedLayers& layers);

  // Whether the intermediate results of `call` are within max_working_bytes; to be asked before
  // Submit. INVALID_ARGUMENT says how to mend the call. Computes nothing and needs no outputs, but
  // compiles the operator of a call that is the first of its widths: about a millisecond.
  absl::Status CheckFits(const AttentionCall& call);
  absl::Status CheckFits(const EncodeCall& call);

  // Runs `prepare`, `call` and then `done`. `call`, and all memory that it points to, must live
  // until then. The status:
  //   INVALID_ARGUMENT    a row of scores sums to 0 under SUM; the message says how to mend it
  //   RESOURCE_EXHAUSTED  no memory, or none for a stored layer
  //   UNAVAILABLE         Stop cut the call off
  //   INTERNAL            our fault
  void Submit(const AttentionCall& call, Prepare prepare, Done done);
  void Submit(const EncodeCall& call, Prepare prepare, Done done);

  // Calls that run end between two tiles, and those that wait at once. For good.
  void Stop() { executor_.Stop(); }

  int threads() const { return executor_.threads(); }
  int64_t max_working_bytes() const { return options_.max_working_bytes; }

 private:
  absl::Status CheckBytes(const absl::StatusOr<double>& bytes) const;
  template <typename Run>
  void SubmitRun(Prepare prepare, Run run, Done done);

  const Options options_;
  CallRunner runner_;
  EncodeRunner encode_runner_;
  Executor executor_;  // last: its destructor waits for calls that use what stands above
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ENGINE_H_
