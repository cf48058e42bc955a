#include "server/ops/unique_json.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace attention::ops {

absl::StatusOr<nlohmann::json> ParseUniqueJson(absl::string_view text) {
  using nlohmann::json;
  std::vector<std::set<std::string>> members;  // of the objects that are open
  std::optional<std::string> twice;
  const auto note = [&](int /*depth*/, json::parse_event_t event, const json& value) {
    switch (event) {
      case json::parse_event_t::object_start:
        members.emplace_back();
        break;
      case json::parse_event_t::object_end:
        members.pop_back();
        break;
      case json::parse_event_t::key:
        if (!members.back().insert(value.get<std::string>()).second) twice = value;
        break;
      default:
        break;
    }
    return true;
  };
  json parsed = json::parse(text.begin(), text.end(), note, /*allow_exceptions=*/false,
                            /*ignore_comments=*/true);
  if (parsed.is_discarded()) return absl::InvalidArgumentError("is not JSON");
  if (twice.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has a member \"", absl::CEscape(*twice), "\" twice in one object"));
  }
  return parsed;
}

}  // namespace attention::ops
