#ifndef ATTENTION_SERVER_OPS_LOG_H_
#define ATTENTION_SERVER_OPS_LOG_H_

#include <nlohmann/json_fwd.hpp>

#include "absl/strings/string_view.h"

namespace attention::ops {

enum class Severity { kInfo, kError };

// Writes one JSON object as one line to standard error: time (RFC 3339, UTC), severity, event and
// then `fields`, an object. Text from outside is escaped. Thread-safe; lines do not mix.
void Log(Severity severity, absl::string_view event, const nlohmann::ordered_json& fields);

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_LOG_H_
