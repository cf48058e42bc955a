#include "server/ops/metrics.h"

#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "server/ops/process_usage.h"

namespace attention::ops {
namespace {

using prometheus::ClientMetric;
using prometheus::Histogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Seconds: from the smallest call to one that computes for a minute.
const Histogram::BucketBoundaries kSeconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                              0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                              1,      2.5,     5,      10,    25,     60};
const Histogram::BucketBoundaries kCalls = {1, 2, 4, 8, 16, 32, 64, 128};
const Histogram::BucketBoundaries kTokens = {1, 8, 32, 128, 512, 1024, 4096, 16384, 131072};

prometheus::Family<Histogram>& HistogramFamily(prometheus::Registry& registry, const char* name,
                                               const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

prometheus::Counter& Counter(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

MetricFamily Gauge(const char* name, const char* help, double value) {
  ClientMetric metric;
  metric.gauge.value = value;
  return {name, help, MetricType::Gauge, {metric}};
}

// A counter that others keep.
MetricFamily Total(const char* name, const char* help, double value) {
  ClientMetric metric;
  metric.counter.value = value;
  return {name, help, MetricType::Counter, {metric}};
}

std::vector<MetricFamily> LevelFamilies(const Metrics::Levels& levels) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  return {Gauge("attention_queue_calls", "Calls that wait for a compute thread.",
                number(levels.waiting_calls)),
          Gauge("attention_queue_oldest_seconds", "How long the oldest of them has waited.",
                absl::ToDoubleSeconds(levels.oldest_waits)),
          Gauge("attention_running_batches", "Batches that are being computed.",
                number(levels.running_batches)),
          Gauge("attention_in_flight_bytes", "Requests and responses of the calls in flight.",
                number(levels.message_bytes)),
          Gauge("attention_working_bytes", "Intermediate results of the calls that are computed.",
                levels.working_bytes),
          Gauge("attention_drain_flops",
                "Floating-point operations that get done a second while "
                "there is work, as measured; 0: not known yet.",
                levels.flop_per_second),
          Gauge("attention_layers_resident", "Stored layers that are packed in memory.",
                number(levels.resident_layers)),
          Gauge("attention_layer_bytes", "Memory of stored layers.", number(levels.layer_bytes)),
          Gauge("attention_memory_budget_bytes", "What the process may take.",
                number(levels.memory_budget_bytes)),
          Gauge("attention_compute_threads", "Compute threads.", number(levels.compute_threads))};
}

std::vector<MetricFamily> UsageFamilies(const ProcessUsage& usage) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  return {Total("attention_compute_cpu_seconds_total", "CPU time of the compute threads.",
                absl::ToDoubleSeconds(usage.compute_cpu)),
          Total("process_cpu_seconds_total", "CPU time of the process.",
                absl::ToDoubleSeconds(usage.cpu)),
          Gauge("process_resident_memory_bytes", "Memory of the process.",
                number(usage.resident_bytes)),
          Total("attention_cgroup_cpu_periods_total",
                "Periods in which the control group's CPU quota was enforced.",
                number(usage.cgroup_periods)),
          Total("attention_cgroup_throttled_periods_total",
                "Those of them in which the group had used it up and had to wait.",
                number(usage.cgroup_throttled_periods)),
          Total("attention_cgroup_throttled_seconds_total", "How long its threads waited so.",
                absl::ToDoubleSeconds(usage.cgroup_throttled))};
}

MetricFamily BuildInfo(const Metrics::Build& build) {
  ClientMetric metric;
  metric.label = {{"version", build.version}, {"isa", build.isa}, {"onednn", build.onednn}};
  metric.gauge.value = 1;
  return {"attention_build_info", "What runs; always 1.", MetricType::Gauge, {metric}};
}

}  // namespace

Metrics::Metrics(const Build& build, absl::AnyInvocable<Levels() const> levels)
    : build_(build),
      levels_(std::move(levels)),
      calls_(prometheus::BuildCounter()
                 .Name("attention_calls_total")
                 .Help("Calls that were answered, by method and gRPC code: RESOURCE_EXHAUSTED for "
                       "those refused for want of room, CANCELLED where the caller left.")
                 .Register(registry_)),
      total_(HistogramFamily(registry_, "attention_call_seconds",
                             "From a call's message to its answer.")),
      queue_(HistogramFamily(registry_, "attention_call_queue_seconds",
                             "From admission until a compute thread took the call up.")),
      compute_(HistogramFamily(registry_, "attention_call_compute_seconds",
                               "On the compute threads, with all of its batch.")),
      tokens_(Counter(registry_, "attention_tokens_total", "Tokens that were computed.")),
      wasted_(Counter(registry_, "attention_wasted_compute_seconds_total",
                      "Computing for callers who had left or whose deadline had passed.")),
      denied_(Counter(registry_, "attention_denied_calls_total",
                      "Calls that the policy refused, which attention_calls_total does not have.")),
      stalled_(Counter(registry_, "attention_stalled_calls_total",
                       "Calls that were cancelled because the peer did not read its answer, or "
                       "send the next part of an upload, in time.")),
      batch_calls_(
          HistogramFamily(registry_, "attention_batch_calls", "Calls in a batch.").Add({}, kCalls)),
      batch_tokens_(HistogramFamily(registry_, "attention_batch_tokens", "Tokens in a batch.")
                        .Add({}, kTokens)) {}

Metrics::OfMethod& Metrics::FindOrAdd(absl::string_view method) {
  const auto found = methods_.find(method);
  if (found != methods_.end()) return found->second;
  const prometheus::Labels labels = {{"method", std::string(method)}};
  return methods_[std::string(method)] = {.total = &total_.Add(labels, kSeconds),
                                          .queue = &queue_.Add(labels, kSeconds),
                                          .compute = &compute_.Add(labels, kSeconds),
                                          .calls = {}};
}

void Metrics::Observe(const Call& call) {
  const absl::MutexLock lock(&mutex_);
  OfMethod& of_method = FindOrAdd(call.method);
  prometheus::Counter*& calls = of_method.calls[call.code];
  if (calls == nullptr) {
    calls = &calls_.Add(
        {{"method", std::string(call.method)}, {"code", absl::StatusCodeToString(call.code)}});
  }
  calls->Increment();
  of_method.total->Observe(absl::ToDoubleSeconds(call.total));
  if (!call.was_computed) return;
  of_method.queue->Observe(absl::ToDoubleSeconds(call.queue));
  of_method.compute->Observe(absl::ToDoubleSeconds(call.compute));
}

void Metrics::Observe(const Batch& batch) {
  batch_calls_.Observe(static_cast<double>(batch.calls));
  batch_tokens_.Observe(static_cast<double>(batch.tokens));
  tokens_.Increment(static_cast<double>(batch.tokens));
  wasted_.Increment(absl::ToDoubleSeconds(batch.wasted));
}

std::string Metrics::Text() const {
  std::vector<MetricFamily> all = registry_.Collect();
  for (auto& more : {LevelFamilies(levels_()), UsageFamilies(ReadProcessUsage())}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  all.push_back(BuildInfo(build_));
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace attention::ops
