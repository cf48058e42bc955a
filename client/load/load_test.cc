#include "client/load/load_test.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <latch>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/load/load_caller.h"
#include "client/load/load_requests.h"
#include "client/load/server_usage.h"

namespace attention::client {
namespace {

using Clock = std::chrono::steady_clock;

// Callers that each call again when they have an answer, until `end`.
class ClosedLoop {
 public:
  ClosedLoop(std::deque<LoadCaller>& callers, SteadyTime end)
      : callers_(callers), end_(end), active_(static_cast<std::ptrdiff_t>(callers.size())) {}

  void Start() {
    for (LoadCaller& caller : callers_) Call(caller);
  }
  void Wait() { active_.wait(); }

 private:
  void Call(LoadCaller& caller) {
    caller.Call(Clock::now(), [this, &caller] {
      if (Clock::now() < end_) return Call(caller);
      active_.count_down();
    });
  }

  std::deque<LoadCaller>& callers_;
  const SteadyTime end_;
  std::latch active_;
};

// Calls that begin at random times, from now until `end`, whether earlier calls have ended or not.
class OpenLoop {
 public:
  OpenLoop(const LoadOptions& options, LoadCaller& caller, LoadRecorder& recorder)
      : options_(options), caller_(caller), recorder_(recorder), random_(options.seed) {}

  void RunUntil(SteadyTime end) {
    std::exponential_distribution<double> gap(options_.rate);
    const auto next_gap = [&] { return absl::ToChronoNanoseconds(absl::Seconds(gap(random_))); };
    for (SteadyTime next = Clock::now() + next_gap(); next < end; next += next_gap()) {
      std::this_thread::sleep_until(next);
      if (in_flight_ >= options_.most_in_flight) {
        recorder_.CountNotMade(next);
        continue;
      }
      ++in_flight_;
      caller_.Call(next, [this] { --in_flight_; });
    }
    std::this_thread::sleep_until(end);
  }
  void Wait() {
    while (in_flight_ > 0) absl::SleepFor(absl::Milliseconds(1));
  }

 private:
  const LoadOptions& options_;
  LoadCaller& caller_;
  LoadRecorder& recorder_;
  std::mt19937_64 random_;
  std::atomic<int> in_flight_ = 0;
};

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

}  // namespace

absl::Status CheckLoadOptions(const LoadOptions& options) {
  if (options.targets.empty()) return Wrong("there is no target; want at least one HOST:PORT");
  if (options.connections < 1) return Wrong("want at least one connection");
  if (options.rate < 0) return Wrong("the rate is below 0 calls a second");
  if (options.rate == 0 && options.callers < 1) return Wrong("want a rate, or at least one caller");
  if (options.duration <= absl::ZeroDuration()) return Wrong("want a duration above 0");
  if (options.timeout <= absl::ZeroDuration()) return Wrong("want a timeout above 0");
  if (options.distinct_calls < 1) return Wrong("want at least one call");
  if (options.width < 1 || options.width > 1 << 20) return Wrong("want a width of 1 to 1048576");
  const double shares = options.cancelled_share + options.invalid_share;
  if (options.cancelled_share < 0 || options.invalid_share < 0 || shares > 1) {
    return Wrong("want shares of cancelled and invalid calls from 0 to 1, and together at most 1");
  }
  return absl::OkStatus();
}

absl::StatusOr<LoadRun> RunLoadTest(const LoadOptions& options, OnProgress on_progress) {
  if (absl::Status status = CheckLoadOptions(options); !status.ok()) return status;
  const absl::StatusOr<Credentials> credentials = ReadCredentials(options.tls);
  if (!credentials.ok()) return credentials.status();
  const auto client =
      AttentionClient::Create({.target = options.targets[0], .tls = options.tls}, *credentials);
  if (!client.ok()) return client.status();
  const absl::StatusOr<LoadRequests> requests = MakeLoadRequests(options, *client);
  if (!requests.ok()) return requests.status();
  absl::StatusOr<std::vector<LoadCaller::Target>> targets = ConnectAll(options, *credentials);
  if (!targets.ok()) return targets.status();

  const SteadyTime start = Clock::now() + absl::ToChronoNanoseconds(options.warm_up);
  const SteadyTime end = start + absl::ToChronoNanoseconds(options.duration);
  LoadRecorder recorder(start, end);
  LoadCaller::Shared shared = {.options = options,
                               .requests = *requests,
                               .targets = *std::move(targets),
                               .recorder = recorder};
  std::deque<LoadCaller> callers;  // a deque, because callers must not move
  const int count = options.rate > 0 ? 1 : options.callers;
  for (int i = 0; i < count; ++i) callers.emplace_back(shared, options.seed + i);
  std::optional<ServerUsage> usage;
  std::optional<ProgressWatch> watch(std::in_place, recorder, start, std::move(on_progress));
  if (options.rate > 0) {
    OpenLoop loop(options, callers[0], recorder);
    loop.RunUntil(start);
    usage.emplace(options.server_pid);
    loop.RunUntil(end);
    usage->Stop();
    loop.Wait();
  } else {
    ClosedLoop loop(callers, end);
    loop.Start();
    std::this_thread::sleep_until(start);
    usage.emplace(options.server_pid);
    std::this_thread::sleep_until(end);
    usage->Stop();
    loop.Wait();
  }
  watch.reset();
  LoadRun run = {.options = options, .result = recorder.Take()};
  run.result.server_cpu = usage->cpu();
  run.result.server_resident_bytes = usage->most_resident_bytes();
  return run;
}

}  // namespace attention::client
