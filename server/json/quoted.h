#ifndef ATTENTION_SERVER_JSON_QUOTED_H_
#define ATTENTION_SERVER_JSON_QUOTED_H_

#include <cstddef>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attention::engine {

// What a file says, for a message: it may be anything, so it is escaped, and cut where it is long.
inline std::string Quoted(absl::string_view text) {
  constexpr size_t kMost = 100;
  return absl::StrCat("\"", absl::CEscape(text.substr(0, kMost)), text.size() > kMost ? "..." : "",
                      "\"");
}

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_JSON_QUOTED_H_
