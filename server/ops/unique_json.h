#ifndef ATTENTION_SERVER_OPS_UNIQUE_JSON_H_
#define ATTENTION_SERVER_OPS_UNIQUE_JSON_H_

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attention::ops {

// What JSON text says, comments allowed. INVALID_ARGUMENT, as "is not JSON", and where an object
// names a member twice: of the two only one would count, and whoever wrote both would not know
// which.
absl::StatusOr<nlohmann::json> ParseUniqueJson(absl::string_view text);

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_UNIQUE_JSON_H_
