#ifndef ATTENTION_CLIENT_CLI_VIEWS_ATTENDED_KEYS_H_
#define ATTENTION_CLIENT_CLI_VIEWS_ATTENDED_KEYS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/cli/files/token_names.h"

namespace attention::client {

// One key that a query attends to.
struct AttendedKey {
  int64_t key = 0;
  float attention_weight = 0;
};

// Returns the `count` keys with the largest weights in one row of attention weights, [kv_len], in
// the order of the server's top_keys: the largest first, and of equal weights the lower index
// first. Weights that are 0 or NaN are left out, so a row that sees no key gives none.
std::vector<AttendedKey> MostAttended(absl::Span<const float> row, int64_t count);

// Returns a line such as "jim -> swimming 15.3 %, football 14.4 %\n", with the name of the query
// right-aligned in `name_width` columns.
std::string FormatAttendedKeys(const std::string& query, size_t name_width,
                               absl::Span<const AttendedKey> keys, const TokenNames& names);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_ATTENDED_KEYS_H_
