#ifndef ATTENTION_SERVER_JSON_JSON_TEXT_H_
#define ATTENTION_SERVER_JSON_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attention::engine {

// Levels of arrays and objects in one text, as client/cli/files/json_text.h has them.
inline constexpr size_t kMaxJsonDepth = 64;

// Whether `//` and `/* */` are comments, in files that people write for this server.
enum class JsonComments : uint8_t { kRefused, kAllowed };

// The one value that JSON text holds.
//
// INVALID_ARGUMENT, with a message that goes behind what the text is called: text that is no JSON
// ("is not JSON; look at line 2, column 7"); more than kMaxJsonDepth levels; and a key that stands
// twice in one object ("has the key "name" twice in allow_rules[0]"), since of the two only one
// would count, and whoever wrote both would not know which. tests/data/json has the cases.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, JsonComments comments);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_JSON_JSON_TEXT_H_
