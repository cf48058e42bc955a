#include "client/load/load_test.h"

#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/load/canceller.h"
#include "client/load/load_caller.h"
#include "client/load/load_requests.h"
#include "client/load/server_usage.h"

namespace attention::client {
namespace {

// Callers who each call again when they are answered, until `end`.
class ClosedLoop {
 public:
  ClosedLoop(std::vector<LoadCaller>& callers, absl::Time end)
      : callers_(callers), end_(end), active_(static_cast<std::ptrdiff_t>(callers.size())) {}

  void Start() {
    for (LoadCaller& caller : callers_) Call(caller);
  }
  void Wait() { active_.wait(); }

 private:
  void Call(LoadCaller& caller) {
    caller.Call(absl::Now(), [this, &caller] {
      if (absl::Now() < end_) return Call(caller);
      active_.count_down();
    });
  }

  std::vector<LoadCaller>& callers_;
  const absl::Time end_;
  std::latch active_;
};

// Calls that come at times of their own, from now on until `end`, whatever became of those before.
class OpenLoop {
 public:
  OpenLoop(const LoadOptions& options, LoadCaller& caller, LoadRecorder& recorder)
      : options_(options), caller_(caller), recorder_(recorder) {}

  void RunUntil(absl::Time end) {
    std::mt19937_64 random(options_.seed);
    std::exponential_distribution<double> gap(options_.rate);
    for (absl::Time next = absl::Now(); next < end; next += absl::Seconds(gap(random))) {
      const absl::Duration early = next - absl::Now();
      if (early > absl::ZeroDuration()) absl::SleepFor(early);
      if (in_flight_ >= options_.most_in_flight) {
        recorder_.CountNotMade(next);
        continue;
      }
      ++in_flight_;
      caller_.Call(next, [this] { --in_flight_; });
    }
  }
  void Wait() {
    while (in_flight_ > 0) absl::SleepFor(absl::Milliseconds(1));
  }

 private:
  const LoadOptions& options_;
  LoadCaller& caller_;
  LoadRecorder& recorder_;
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

absl::StatusOr<LoadResult> RunLoadTest(const LoadOptions& options) {
  if (absl::Status status = CheckLoadOptions(options); !status.ok()) return status;
  const auto client = AttentionClient::Create({.target = options.targets[0], .tls = options.tls});
  if (!client.ok()) return client.status();
  const absl::StatusOr<LoadRequests> requests = MakeLoadRequests(options, *client);
  if (!requests.ok()) return requests.status();
  absl::StatusOr<LoadCaller::Stubs> stubs = ConnectAll(options);
  if (!stubs.ok()) return stubs.status();

  const absl::Time start = absl::Now() + options.warm_up, end = start + options.duration;
  LoadRecorder recorder(start);
  Canceller canceller;
  std::vector<LoadCaller> callers;
  const int count = options.rate > 0 ? 1 : options.callers;
  for (int i = 0; i < count; ++i) {
    callers.emplace_back(options, *requests, *stubs, canceller, recorder, options.seed + i);
  }
  std::optional<ServerUsage> usage;
  const auto watch = [&] {
    absl::SleepFor(start - absl::Now());
    usage.emplace(options.server_pid);
  };
  if (options.rate > 0) {
    OpenLoop loop(options, callers[0], recorder);
    loop.RunUntil(start);
    watch();
    loop.RunUntil(end);
    loop.Wait();
  } else {
    ClosedLoop loop(callers, end);
    loop.Start();
    watch();
    loop.Wait();
  }
  LoadResult result = recorder.Take(absl::Now());
  result.server_cpu = usage->Cpu();
  result.server_resident_bytes = usage->MostResidentBytes();
  return result;
}

}  // namespace attention::client
