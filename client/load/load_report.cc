#include "client/load/load_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/load/load_page_html.h"
#include "client/programs/page_data.h"

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

int64_t Failures(const LoadResult& result) {
  int64_t count = 0;
  for (const auto& [why, times] : result.failures) count += times;
  return count;
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

std::string LoadJson(const LoadRun& run) {
  const auto& [options, result] = run;
  Json json = {{"targets", options.targets}, {"connections", options.connections}};
  if (options.rate > 0) {
    json["offered_per_s"] = options.rate;
  } else {
    json["callers"] = options.callers;
  }
  json["made"] = absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", result.made, absl::UTCTimeZone());
  json["seconds"] = absl::ToDoubleSeconds(result.lasted);
  json["answered"] = result.answered();
  json["answered_per_s"] = result.AnsweredPerSecond();
  json["tokens_per_s"] = result.TokensPerSecond();
  json["by_code"] = result.by_code;
  json["wrong"] = result.wrong;
  json["retries"] = result.retries;
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
  Json& histogram = json["histogram"] = Json::array();
  for (const LatencyHistogram::Step& step : result.latency.Steps()) {
    histogram.push_back({Ms(step.upper), step.count});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string LoadCsv(absl::Span<const LoadRun> runs) {
  std::string text =
      "made,callers,offered_per_s,seconds,answered_per_s,tokens_per_s,p50_ms,p90_ms,p95_ms,p99_ms,"
      "p99.9_ms,max_ms,queue_p50_ms,queue_p99_ms,compute_p50_ms,compute_p99_ms,batch_calls,"
      "resource_exhausted,failures,server_cpu_ms_per_call,server_resident_mib\r\n";
  for (const auto& [options, result] : runs) {
    const bool is_open = options.rate > 0;
    const auto exhausted = result.by_code.find("RESOURCE_EXHAUSTED");
    absl::StrAppend(&text, absl::FormatTime(absl::RFC3339_sec, result.made, absl::UTCTimeZone()),
                    ",", is_open ? "" : absl::StrCat(options.callers), ",",
                    is_open ? absl::StrCat(options.rate) : "", ",",
                    absl::ToDoubleSeconds(result.lasted), ",", result.AnsweredPerSecond(), ",",
                    result.TokensPerSecond());
    for (const double percent : kPercentiles) {
      absl::StrAppend(&text, ",", Ms(result.latency.Percentile(percent)));
    }
    absl::StrAppend(&text, ",", Ms(result.latency.max()));
    for (const LatencyHistogram* const histogram : {&result.queue, &result.compute}) {
      absl::StrAppend(&text, ",", Ms(histogram->Percentile(50)), ",",
                      Ms(histogram->Percentile(99)));
    }
    absl::StrAppend(&text, ",", BatchCalls(result), ",",
                    exhausted == result.by_code.end() ? 0 : exhausted->second, ",",
                    Failures(result), ",");
    if (options.server_pid > 0) {
      absl::StrAppend(&text, Per(result.answers, Ms(result.server_cpu)), ",",
                      result.server_resident_bytes >> 20);
    } else {
      absl::StrAppend(&text, ",");
    }
    absl::StrAppend(&text, "\r\n");
  }
  return text;
}

std::string LoadPage(absl::Span<const LoadRun> runs) {
  const std::string list = absl::StrJoin(
      runs, ",", [](std::string* out, const LoadRun& run) { absl::StrAppend(out, LoadJson(run)); });
  return PageWithData(kLoadPage, absl::StrCat("[", list, "]"));
}

std::string LoadProgressText(absl::Duration since_start, const LoadProgress& last) {
  std::string text = absl::StrFormat(
      "%4.0f s%s  %6d answered  p50 %.3f ms  p99 %.3f ms", absl::ToDoubleSeconds(since_start),
      since_start < absl::Seconds(1) ? " (warm-up)" : "", last.answered,
      Ms(last.latency.Percentile(50)), Ms(last.latency.Percentile(99)));
  if (last.refused > 0) absl::StrAppend(&text, "  ", last.refused, " refused");
  if (last.failed > 0) absl::StrAppend(&text, "  ", last.failed, " FAILED");
  return text;
}

std::string LoadText(const LoadRun& run) {
  const auto& [options, result] = run;
  std::string text = absl::StrFormat("%s, %.1f s, %s\n%d calls answered, %.1f/s, %.0f tokens/s\n",
                                     LoopText(options), absl::ToDoubleSeconds(result.lasted),
                                     absl::StrJoin(options.targets, ", "), result.answers,
                                     result.AnsweredPerSecond(), result.TokensPerSecond());
  for (const auto& [code, count] : result.by_code) {
    if (code != "OK") absl::StrAppend(&text, count, " calls ended with ", code, "\n");
  }
  if (result.cancelled > 0) absl::StrAppend(&text, result.cancelled, " calls were cancelled\n");
  if (result.refused > 0) absl::StrAppend(&text, result.refused, " invalid calls were refused\n");
  if (result.retries > 0) absl::StrAppend(&text, result.retries, " times a call was made again\n");
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
