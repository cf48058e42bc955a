#include "server/ops/log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace attention::ops {
namespace {

constexpr const char* kNames[] = {"debug", "info", "warning", "error"};

std::atomic<Severity> least_severity = Severity::kInfo;

Severity FromGrpc(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return Severity::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return Severity::kInfo;
    default:
      return Severity::kWarning;  // what gRPC calls an error is mostly some peer's
  }
}

void OnGrpcLog(gpr_log_func_args* line) {
  const absl::string_view text = line->message;
  // Of EndConnections, which closes the door before gRPC does.
  if (text == "Failed accept4: Invalid argument") return;
  Log(FromGrpc(line->severity), "grpc",
      {{"file", line->file}, {"line", line->line}, {"message", std::string(text)}});
}

void OnProtobufLog(google::protobuf::LogLevel /*level*/, const char* file, int line,
                   const std::string& message) {
  if (!IsLogged(Severity::kDebug)) return;
  Log(Severity::kDebug, "protobuf", {{"file", file}, {"line", line}, {"message", message}});
}

}  // namespace

void LogLibraries() {
  gpr_set_log_function(&OnGrpcLog);
  google::protobuf::SetLogHandler(&OnProtobufLog);
}

std::optional<Severity> ParseSeverity(absl::string_view text) {
  for (const Severity severity :
       {Severity::kDebug, Severity::kInfo, Severity::kWarning, Severity::kError}) {
    if (text == kNames[static_cast<int>(severity)]) return severity;
  }
  return std::nullopt;
}

void SetLogLevel(Severity least) { least_severity = least; }

bool IsLogged(Severity severity) { return severity >= least_severity; }

void Log(Severity severity, absl::string_view event, const nlohmann::ordered_json& fields) {
  if (!IsLogged(severity)) return;
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone());
  line["severity"] = absl::AsciiStrToUpper(kNames[static_cast<int>(severity)]);
  line["event"] = std::string(event);
  line.update(fields);
  // Bytes that are no UTF-8 are replaced rather than thrown at. One write keeps a line whole.
  const std::string text =
      line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace attention::ops
