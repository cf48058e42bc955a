#include "client/cli/views/attended_keys.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "client/cli/display_text.h"
#include "client/cli/views/heat_map.h"

namespace attention::client {

std::vector<AttendedKey> MostAttended(absl::Span<const float> row, int64_t count) {
  std::vector<AttendedKey> keys;
  for (size_t j = 0; j < row.size(); ++j) {
    if (row[j] == 0 || std::isnan(row[j])) continue;
    keys.push_back({.key = static_cast<int64_t>(j), .attention_weight = row[j]});
  }
  std::stable_sort(keys.begin(), keys.end(), [](const AttendedKey& a, const AttendedKey& b) {
    return a.attention_weight > b.attention_weight;
  });
  const size_t kept = std::min(keys.size(), static_cast<size_t>(std::max<int64_t>(count, 0)));
  keys.resize(kept);
  return keys;
}

std::string FormatAttendedKeys(const std::string& query, size_t name_width,
                               absl::Span<const AttendedKey> keys, const TokenNames& names) {
  std::string line = absl::StrCat(AlignRight(query, name_width), " -> ");
  if (keys.empty()) absl::StrAppend(&line, "no key");
  const char* separator = "";
  for (const AttendedKey& key : keys) {
    absl::StrAppend(&line, separator, names.Key(key.key), " ", Percent(key.attention_weight), " %");
    separator = ", ";
  }
  return absl::StrCat(line, "\n");
}

}  // namespace attention::client
