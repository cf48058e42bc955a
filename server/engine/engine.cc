#include "server/engine/engine.h"

#include <chrono>
#include <cmath>
#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace attention::engine {
namespace {

using SteadyClock = std::chrono::steady_clock;

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

}  // namespace

Engine::Engine(const Options& options, PackedLayers& layers)
    : options_(options), runner_(layers), encode_runner_(layers), executor_(options.threads) {}

absl::Status Engine::CheckFits(const AttentionCall& call) {
  return CheckBytes(runner_.WorkingBytes(call, executor_.threads()));
}

absl::Status Engine::CheckFits(const EncodeCall& call) {
  return CheckBytes(encode_runner_.WorkingBytes(call, executor_.threads()));
}

absl::Status Engine::CheckBytes(const absl::StatusOr<double>& bytes) const {
  if (!bytes.ok()) return bytes.status();
  constexpr double kMib = 1 << 20;
  const double limit = static_cast<double>(options_.max_working_bytes);
  if (*bytes <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "the call needs %.0f MiB for intermediate results; this server grants a call %.0f MiB "
      "(--max_working_mib): send fewer sequences, tokens or heads at a time",
      std::ceil(*bytes / kMib), limit / kMib));
}

void Engine::Submit(const AttentionCall& call, Prepare prepare, Done done) {
  SubmitRun(
      std::move(prepare), [this, &call] { return runner_.Run(call, executor_); }, std::move(done));
}

void Engine::Submit(const EncodeCall& call, Prepare prepare, Done done) {
  SubmitRun(
      std::move(prepare), [this, &call] { return encode_runner_.Run(call, executor_); },
      std::move(done));
}

template <typename Run>
void Engine::SubmitRun(Prepare prepare, Run run, Done done) {
  const SteadyClock::time_point submitted = SteadyClock::now();
  executor_.Enqueue(
      [this, submitted, prepare = std::move(prepare), run, done = std::move(done)]() mutable {
        const SteadyClock::time_point started = SteadyClock::now();
        absl::Status status =
            executor_.stopped() ? absl::CancelledError() : Guarded([&] { return prepare(); });
        const SteadyClock::time_point prepared = SteadyClock::now();
        if (status.ok()) status = Guarded(run);
        if (absl::IsCancelled(status)) {  // by Stop alone
          status = absl::UnavailableError("the server is shutting down; call another one");
        }
        const CallTiming timing = {.queue = absl::FromChrono(started - submitted),
                                   .prepare = absl::FromChrono(prepared - started),
                                   .compute = absl::FromChrono(SteadyClock::now() - prepared)};
        done(std::move(status), timing);
      });
}

}  // namespace attention::engine
