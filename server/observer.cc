#include "server/observer.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "kernels/onednn/onednn_info.h"
#include "server/ops/log.h"
#include "server/rpc/shared/trace_parent.h"

namespace attention {
namespace {

using ops::Severity;

// What is our fault is an error; the others are for whoever looks after the callers.
Severity SeverityOf(const absl::Status& status) {
  if (status.ok()) return Severity::kDebug;
  return absl::IsInternal(status) || absl::IsUnknown(status) ? Severity::kError
                                                             : Severity::kWarning;
}

nlohmann::ordered_json Fields(const rpc::CallReport& call) {
  nlohmann::ordered_json fields = {{"method", std::string(call.method)},
                                   {"code", absl::StatusCodeToString(call.status.code())},
                                   {"request_id", std::string(call.request_id)},
                                   {"peer", call.rpc.peer()}};
  if (!call.status.ok()) fields["error"] = std::string(call.status.message());
  if (const std::string trace = rpc::TraceParent(call.rpc); !trace.empty()) {
    fields["traceparent"] = trace;
  }
  if (call.describe) fields["call"] = call.describe();
  fields["total_ms"] = absl::ToDoubleMilliseconds(call.total);
  if (call.timing != nullptr) {
    fields["decode_ms"] = absl::ToDoubleMilliseconds(call.decode);
    fields["queue_ms"] = absl::ToDoubleMilliseconds(call.timing->queue);
    fields["compute_ms"] = absl::ToDoubleMilliseconds(call.timing->compute);
    fields["batch_calls"] = call.timing->batch_calls;
  }
  return fields;
}

}  // namespace

Observer::Observer(absl::AnyInvocable<ops::Metrics::Levels() const> levels)
    : metrics_({.version = ATTENTION_VERSION, .isa = OnednnIsa(), .onednn = OnednnVersion()},
               std::move(levels)) {}

void Observer::OnCall(const rpc::CallReport& call) {
  const bool ran = call.timing != nullptr;
  metrics_.Observe(ops::Metrics::Call{.method = call.method,
                                      .code = call.status.code(),
                                      .total = call.total,
                                      .queue = ran ? call.timing->queue : absl::ZeroDuration(),
                                      .compute = ran ? call.timing->compute : absl::ZeroDuration(),
                                      .was_computed = ran});
  const Severity severity = SeverityOf(call.status);
  if (severity == Severity::kDebug) {
    if (ops::IsLogged(severity)) ops::Log(severity, "call", Fields(call));
    return;
  }
  ops::LogAtRate(failed_.at(static_cast<size_t>(call.status.code())), severity, "call",
                 [&] { return Fields(call); });
}

void Observer::OnDenied(const ops::Policy::Call& call) {
  metrics_.CountDenied();
  ops::LogAtRate(denied_, Severity::kWarning, "denied", [&]() -> nlohmann::ordered_json {
    nlohmann::ordered_json principals = nlohmann::ordered_json::array();
    for (const absl::string_view principal : call.principals) principals.emplace_back(principal);
    return {{"path", std::string(call.path)}, {"principals", std::move(principals)}};
  });
}

void Observer::OnStall(const std::string& peer) {
  metrics_.CountStalled();
  ops::LogAtRate(stalled_, Severity::kWarning, "stalled", [&]() -> nlohmann::ordered_json {
    return {{"peer", peer}};
  });
}

void Observer::OnBatch(const engine::Engine::BatchReport& batch) {
  metrics_.Observe(
      ops::Metrics::Batch{.calls = batch.calls, .tokens = batch.tokens, .wasted = batch.wasted});
}

}  // namespace attention
