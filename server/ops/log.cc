#include "server/ops/log.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace attention::ops {

void Log(Severity severity, absl::string_view event, const nlohmann::ordered_json& fields) {
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone());
  line["severity"] = severity == Severity::kError ? "ERROR" : "INFO";
  line["event"] = std::string(event);
  line.update(fields);
  // Bytes that are no UTF-8 are replaced rather than thrown at. One write keeps a line whole.
  const std::string text =
      line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace attention::ops
