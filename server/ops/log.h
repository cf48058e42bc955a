#ifndef ATTENTION_SERVER_OPS_LOG_H_
#define ATTENTION_SERVER_OPS_LOG_H_

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "absl/strings/string_view.h"

namespace attention::ops {

enum class Severity { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning" or "error"; empty for any other text.
std::optional<Severity> ParseSeverity(absl::string_view text);

// From now on only what is at least this severe is logged; kInfo at first. Thread-safe.
void SetLogLevel(Severity least);
// Whether a line of this severity would be.
bool IsLogged(Severity severity);

// Logs, if it is severe enough, one JSON object as one line on standard error: time (RFC 3339,
// UTC), severity, event and then `fields`, an object. Text from outside is escaped; texts are cut
// after 2 KiB and lists after 16 elements. Thread-safe; lines do not mix. Does not wait for whoever
// reads standard error: a thread of its own writes the lines, and where 1 MiB of them waits, more
// are lost and counted by a line of the event "log_lines_lost". What waits when the process is
// killed or aborts is lost too.
void Log(Severity severity, absl::string_view event, const nlohmann::ordered_json& fields);

// Waits until what was logged so far is written, for up to a second. The end of the process does.
void FlushLog();

// From now on what the libraries have to say, for the whole process, is logged as such lines too:
// events "grpc" and "protobuf". The latter at debug, since any client can make it speak.
void LogLibraries();

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_LOG_H_
