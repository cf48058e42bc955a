#ifndef ATTENTION_SERVER_OBSERVER_H_
#define ATTENTION_SERVER_OBSERVER_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "server/engine/engine.h"
#include "server/ops/metrics.h"
#include "server/ops/policy.h"
#include "server/rpc/call_report.h"

namespace attention {

// Turns what happens in a server into metrics and log lines: a line a call at debug, and a line
// for each that fails. Thread-safe.
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
  ops::Metrics metrics_;
};

}  // namespace attention

#endif  // ATTENTION_SERVER_OBSERVER_H_
