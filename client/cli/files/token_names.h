#ifndef ATTENTION_CLIENT_CLI_FILES_TOKEN_NAMES_H_
#define ATTENTION_CLIENT_CLI_FILES_TOKEN_NAMES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attention/v1/attention_service.pb.h"
#include "attention/v1/encoder_service.pb.h"

namespace attention::client {

struct RequestFile;

// How many query tokens one sequence of the request has (before query_indices), and how many key
// tokens. Unset where the tensor that says so is missing or has no shape that has a meaning.
std::optional<int64_t> QueryLength(const v1::ComputeAttentionRequest& request);
std::optional<int64_t> KeyLength(const v1::ComputeAttentionRequest& request);

// How many tokens all sequences of the request have. Unset as above.
std::optional<int64_t> TokenCount(const v1::EncodeRequest& request);

// What to write beside the rows and columns of the results.
struct TokenNames {
  std::vector<std::string> queries;  // of the rows that come back; may be empty
  std::vector<std::string> keys;     // may be empty

  // The name of a token, or "q3" and "k3" where it has none.
  std::string Query(int64_t index) const;
  std::string Key(int64_t index) const;
};

// The file's own names, fit for a terminal (display_text.h), of the queries that query_indices
// selects. The keys take the queries' names where they have none of their own and are the same
// tokens.
TokenNames NamesFor(const RequestFile& file);

// At most `count` of the words from `first` on, likewise, as names of queries and keys alike.
TokenNames NamesFrom(const std::vector<std::string>& words, size_t first, int64_t count);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_TOKEN_NAMES_H_
