#ifndef ATTENTION_SERVER_OBSERVER_H_
#define ATTENTION_SERVER_OBSERVER_H_

#include <array>
#include <cstddef>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/engine/engine.h"
#include "server/ops/line_rate.h"
#include "server/ops/metrics.h"
#include "server/ops/policy.h"
#include "server/rpc/shared/call_report.h"

namespace attention {

// Turns what happens in a server into metrics and log lines: a line for each call that fails, up to
// LineRate::kMost a second of each code (the next one says how many were "left_out"; the metrics
// count all), and at debug a line for each other call. Thread-safe.
class Observer {
 public:
  // `levels` is called by MetricsText.
  explicit Observer(absl::AnyInvocable<ops::Metrics::Levels() const> levels);

  void OnCall(const rpc::CallReport& call);
  void OnDenied(const ops::Policy::Call& call);  // by the policy
  void OnStall(const std::string& peer);         // that did not read, or send, what it was to
  void OnBatch(const engine::Engine::BatchReport& batch);

  // In Prometheus's text format.
  std::string MetricsText() const { return metrics_.Text(); }

 private:
  static constexpr size_t kCodes = static_cast<size_t>(absl::StatusCode::kUnauthenticated) + 1;

  ops::Metrics metrics_;
  std::array<ops::LineRate, kCodes> failed_;  // by code
  ops::LineRate denied_, stalled_;
};

}  // namespace attention

#endif  // ATTENTION_SERVER_OBSERVER_H_
