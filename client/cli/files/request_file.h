#ifndef ATTENTION_CLIENT_CLI_FILES_REQUEST_FILE_H_
#define ATTENTION_CLIENT_CLI_FILES_REQUEST_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attention/v1/attention_service.pb.h"
#include "attention/v1/encoder_service.pb.h"
#include "client/channel.h"
#include "client/cli/files/protobuf_json.h"

namespace attention::client {

// Reading a text stops here, before it fills the memory; files of arrays that it names count for
// themselves.
inline constexpr int64_t kMaxRequestFileBytes = int64_t{256} << 20;

// A call as people write it, one JSON object:
//
//   {
//     "title": "jim likes football",        optional: printed above the results
//     "words": ["jim", "likes"],            optional: the names of the query tokens
//     "context_words": ["a", "b", "c"],     optional: those of the key tokens, where they differ
//     "request": {                          a ComputeAttentionRequest in protobuf JSON; nested
//       "tokens": {                         arrays or names of array files for tensors, and short
//         "tokens": [[0.1, 0.2],            enum names are welcome (protobuf_json.h)
//                    [0.6, 0.7]]
//       },
//       "config": {"scale": 1}
//     }
//   }
//
// or, for a stored encoder, "encode": {...}, an EncodeRequest, in place of "request".
//
// Names are those of one sequence, and in a batch each sequence has the same; with "encode" they
// are those of all tokens of all sequences.
struct RequestFile {
  std::string title;
  std::vector<std::string> words;          // one a query token (before query_indices), or none
  std::vector<std::string> context_words;  // one a key token, or none
  v1::ComputeAttentionRequest request;     // one of these two
  std::optional<v1::EncodeRequest> encode;
};

// All of the file at `path`, or of standard input when `path` is "-". NOT_FOUND, INVALID_ARGUMENT:
// no such file; one that cannot be read or is larger than kMaxRequestFileBytes.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

// Reads the file at `path`, or standard input to its end when `path` is "-". The arrays of the
// files that it names, which lie beside it, may have `most_array_bytes` bytes in all.
//
// As ReadTextFile and ParseRequestFile.
absl::StatusOr<RequestFile> ReadRequestFile(const std::string& path,
                                            uint64_t most_array_bytes = kMostMessageBytes);

// The same from a text, which messages call `name`.
//
// INVALID_ARGUMENT: no JSON ("NAME:LINE:COLUMN: ..."), keys other than these, a request that
// does not fit the schema ("NAME: request.tokens.tokens[2] has length 3; want 4, ..."), or as many
// names as there are not tokens. Shapes that do not fit each other are left to the server.
absl::StatusOr<RequestFile> ParseRequestFile(absl::string_view text, const std::string& name,
                                             const ArrayFiles& files = {});

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_REQUEST_FILE_H_
