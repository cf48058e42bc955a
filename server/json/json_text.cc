#include "server/json/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/json/quoted.h"

namespace attention::engine {
namespace {

using nlohmann::json;

// Sees a text as it is parsed, and keeps the first thing that is wrong and is JSON all the same.
class Checker {
 public:
  // Whether the parser is to keep what it has found.
  bool See(json::parse_event_t event, const json& value) {
    if (!problem_.empty()) return false;
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (open_.size() == kMaxJsonDepth) {
          problem_ = absl::StrCat("has more than ", kMaxJsonDepth, " levels of arrays and objects");
          return false;
        }
        open_.emplace_back();
        break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        open_.pop_back();
        [[fallthrough]];
      case json::parse_event_t::value:
        if (!open_.empty()) ++open_.back().count;
        break;
      case json::parse_event_t::key:
        open_.back().key = value.get<std::string>();
        if (!open_.back().keys.insert(open_.back().key).second) {
          problem_ = absl::StrCat("has the key ", Quoted(open_.back().key), " twice in ", Place());
        }
        break;
    }
    return problem_.empty();
  }

  const std::string& problem() const { return problem_; }

 private:
  // An array or an object that is not closed yet.
  struct Container {
    size_t count = 0;            // of the values in it that are complete
    std::set<std::string> keys;  // none: it is an array, or nothing is in it yet
    std::string key;             // the last of them
  };

  // Where the innermost object is, such as allow_rules[0].
  std::string Place() const {
    constexpr size_t kMost = 100;
    std::string place;
    for (size_t i = 0; i + 1 < open_.size() && place.size() <= kMost; ++i) {
      if (open_[i].keys.empty()) {
        absl::StrAppend(&place, "[", open_[i].count, "]");
      } else {
        absl::StrAppend(&place, place.empty() ? "" : ".", open_[i].key.substr(0, kMost));
      }
    }
    if (place.empty()) return "the outermost object";
    return absl::StrCat(absl::CEscape(place.substr(0, kMost)), place.size() > kMost ? "..." : "");
  }

  std::vector<Container> open_;  // outermost first
  std::string problem_;
};

// "line 2, column 7" for a byte of the text; both count from 1, the column in bytes.
std::string LineAndColumn(absl::string_view text, size_t position) {
  const absl::string_view before = text.substr(0, position);
  const size_t line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return absl::StrCat("line ", 1 + std::count(before.begin(), before.end(), '\n'), ", column ",
                      position - line_start + 1);
}

absl::Status NotJson(absl::string_view text, size_t position) {
  return absl::InvalidArgumentError(
      absl::StrCat("is not JSON; look at ", LineAndColumn(text, position)));
}

}  // namespace

absl::StatusOr<json> ParseJson(absl::string_view text, JsonComments comments) {
  // The library takes a NUL for the end of the text.
  if (const size_t nul = text.find('\0'); nul != text.npos) return NotJson(text, nul);
  Checker checker;
  json parsed;
  absl::Status status;
  try {
    parsed = json::parse(
        text.begin(), text.end(),
        [&](int, json::parse_event_t event, const json& value) {
          return checker.See(event, value);
        },
        /*allow_exceptions=*/true, /*ignore_comments=*/comments == JsonComments::kAllowed);
  } catch (const json::parse_error& error) {
    // It counts the byte that it choked on; at the end of the text it counts one more.
    status = NotJson(text, std::min(error.byte > 0 ? error.byte - 1 : 0, text.size()));
  } catch (const json::out_of_range&) {
    status = absl::InvalidArgumentError("has a number that is too large");
  }
  if (!checker.problem().empty()) return absl::InvalidArgumentError(checker.problem());
  if (!status.ok()) return status;
  return parsed;
}

}  // namespace attention::engine
