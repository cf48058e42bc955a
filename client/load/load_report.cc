#include "client/load/load_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace attention::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kPercentiles[] = {50, 90, 95, 99, 99.9};

double Ms(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

Json Percentiles(const LatencyHistogram& histogram) {
  Json json = {{"count", histogram.count()}, {"mean_ms", Ms(histogram.Mean())}};
  for (const double percent : kPercentiles) {
    json[absl::StrCat("p", percent, "_ms")] = Ms(histogram.Percentile(percent));
  }
  json["max_ms"] = Ms(histogram.max());
  return json;
}

double Per(int64_t count, double total) {
  return total / static_cast<double>(std::max<int64_t>(count, 1));
}

double BatchCalls(const LoadResult& result) {
  return Per(result.queue.count(), static_cast<double>(result.batch_calls));
}

std::string Row(absl::string_view name, const LatencyHistogram& histogram) {
  std::string row = absl::StrFormat("  %-26s", name);
  for (const double percent : kPercentiles) {
    absl::StrAppendFormat(&row, " %9.3f", Ms(histogram.Percentile(percent)));
  }
  absl::StrAppendFormat(&row, " %9.3f\n", Ms(histogram.max()));
  return row;
}

std::string LoopText(const LoadOptions& options) {
  if (options.rate > 0) return absl::StrFormat("open loop, %g calls/s offered", options.rate);
  return absl::StrCat("closed loop, ", options.callers, " callers");
}

}  // namespace

std::string LoadJson(const LoadOptions& options, const LoadResult& result) {
  Json json = {{"targets", options.targets}, {"connections", options.connections}};
  if (options.rate > 0) {
    json["offered_per_s"] = options.rate;
  } else {
    json["callers"] = options.callers;
  }
  json["seconds"] = absl::ToDoubleSeconds(result.lasted);
  json["answered"] = result.answered();
  json["answered_per_s"] = result.AnsweredPerSecond();
  json["tokens_per_s"] = result.TokensPerSecond();
  json["by_code"] = result.by_code;
  json["wrong"] = result.wrong;
  json["cancelled"] = result.cancelled;
  json["refused"] = result.refused;
  json["not_made"] = result.not_made;
  json["failures"] = result.failures;
  json["latency"] = Percentiles(result.latency);
  json["refusal_latency"] = Percentiles(result.refusal);
  json["server_queue"] = Percentiles(result.queue);
  json["server_compute"] = Percentiles(result.compute);
  json["batch_calls"] = BatchCalls(result);
  if (options.server_pid > 0) {
    json["server_cpu_ms_per_call"] = Per(result.answers, Ms(result.server_cpu));
    json["server_cpus"] = absl::FDivDuration(result.server_cpu, result.lasted);
    json["server_resident_mib"] = static_cast<double>(result.server_resident_bytes) / (1 << 20);
  }
  Json seconds = Json::array();
  for (const LoadResult::Second& second : result.seconds) {
    seconds.push_back({{"calls", second.calls},
                       {"answered", second.latency.count()},
                       {"p50_ms", Ms(second.latency.Percentile(50))},
                       {"p99_ms", Ms(second.latency.Percentile(99))}});
  }
  json["by_second"] = std::move(seconds);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string LoadText(const LoadOptions& options, const LoadResult& result) {
  std::string text = absl::StrFormat("%s, %.1f s, %s\n%d calls answered, %.1f/s, %.0f tokens/s\n",
                                     LoopText(options), absl::ToDoubleSeconds(result.lasted),
                                     absl::StrJoin(options.targets, ", "), result.answers,
                                     result.AnsweredPerSecond(), result.TokensPerSecond());
  for (const auto& [code, count] : result.by_code) {
    if (code != "OK") absl::StrAppend(&text, count, " calls ended with ", code, "\n");
  }
  if (result.cancelled > 0) absl::StrAppend(&text, result.cancelled, " calls were cancelled\n");
  if (result.refused > 0) absl::StrAppend(&text, result.refused, " invalid calls were refused\n");
  if (result.not_made > 0) {
    absl::StrAppend(&text, result.not_made, " calls were not made: ", options.most_in_flight,
                    " were in flight\n");
  }
  absl::StrAppendFormat(&text, "\n  %-26s %9s %9s %9s %9s %9s %9s\n", "milliseconds", "p50", "p90",
                        "p95", "p99", "p99.9", "max");
  absl::StrAppend(&text, Row("latency", result.latency));
  if (result.refusal.count() > 0) absl::StrAppend(&text, Row("of refusals", result.refusal));
  absl::StrAppend(&text, Row("queue, on the server", result.queue),
                  Row("compute, on the server", result.compute));
  absl::StrAppendFormat(&text, "\n%.2f calls in an answer's batch\n", BatchCalls(result));
  if (options.server_pid > 0) {
    absl::StrAppendFormat(&text, "the server took %.3f ms of CPU an answer and up to %d MiB\n",
                          Per(result.answers, Ms(result.server_cpu)),
                          result.server_resident_bytes >> 20);
  }
  for (const auto& [failure, count] : result.failures) {
    absl::StrAppend(&text, "FAILED, ", count, " times: ", failure, "\n");
  }
  return text;
}

}  // namespace attention::client
