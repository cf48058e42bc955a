#ifndef ATTENTION_CLIENT_CLI_FILES_JSON_TEXT_H_
#define ATTENTION_CLIENT_CLI_FILES_JSON_TEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attention::client {

// Levels of arrays and objects in one text. A request needs about 10; protobuf's own parser stops
// at 100, so what passes here passes there.
inline constexpr int kMaxJsonDepth = 64;

// Parses the one JSON value that `text` holds.
//
// INVALID_ARGUMENT: text that is no JSON, as "NAME:LINE:COLUMN: what is wrong" (both from 1, the
// column in bytes); a key that stands twice in one object, as "NAME: it has the key "a" twice in
// request.tokens"; more than kMaxJsonDepth levels. `name` is what the messages call the text.
// tests/data/json has the cases, which are also those of server/json/json_text.h.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, const std::string& name);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_JSON_TEXT_H_
