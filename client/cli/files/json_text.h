#ifndef ATTENTION_CLIENT_CLI_FILES_JSON_TEXT_H_
#define ATTENTION_CLIENT_CLI_FILES_JSON_TEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attention::client {

// The most levels of arrays and objects in one text. A request needs about 10. protobuf's own
// parser stops at 100, so a text that is accepted here is not too deep for it.
inline constexpr int kMaxJsonDepth = 64;

// Parses the one JSON value that `text` holds.
//
// INVALID_ARGUMENT if the text is not JSON, with the message "NAME:LINE:COLUMN: what is wrong"
// (line and column count from 1, the column in bytes); if a key stands twice in one object, with
// "NAME: it has the key "a" twice in request.tokens"; or if there are more than kMaxJsonDepth
// levels. `name` is the name of the text in messages. tests/data/json has test cases, which
// server/json/json_text.h shares.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, const std::string& name);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_JSON_TEXT_H_
