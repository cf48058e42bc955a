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

// Returns how many query tokens (before query_indices) or key tokens one sequence of the request
// has. Empty if the tensor that determines it is missing or its shape has no meaning.
std::optional<int64_t> QueryLength(const v1::ComputeAttentionRequest& request);
std::optional<int64_t> KeyLength(const v1::ComputeAttentionRequest& request);

// Returns how many tokens all sequences of the request have together. Empty in the same cases.
std::optional<int64_t> TokenCount(const v1::EncodeRequest& request);

// The labels of the rows and columns of the results.
struct TokenNames {
  std::vector<std::string> queries;  // of the rows that are returned; may be empty
  std::vector<std::string> keys;     // may be empty

  // The name of a token, or for example "q3" and "k3" if it has none.
  std::string Query(int64_t index) const;
  std::string Key(int64_t index) const;
};

// Returns the file's names, made safe for a terminal (display_text.h), for the queries that
// query_indices selects. Keys without names take the names of the queries if they are the same
// tokens.
TokenNames NamesFor(const RequestFile& file);

// Returns at most `count` of the words from `first` on, made safe for a terminal, as names of both
// queries and keys.
TokenNames NamesFrom(const std::vector<std::string>& words, size_t first, int64_t count);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_TOKEN_NAMES_H_
