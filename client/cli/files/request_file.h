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

// The most bytes of a text that are read, so that it cannot fill the memory. Array files that the
// text names do not count here.
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
// Names are for the tokens of one sequence; in a batch all sequences have the same names. With
// "encode" they are for all tokens of all sequences.
struct RequestFile {
  std::string title;
  std::vector<std::string> words;          // one for each query token (before query_indices), or
                                           // empty
  std::vector<std::string> context_words;  // one for each key token, or empty
  v1::ComputeAttentionRequest request;     // used unless `encode` is set
  std::optional<v1::EncodeRequest> encode;
};

// Reads the whole file at `path`, or standard input if `path` is "-". NOT_FOUND if there is no such
// file; INVALID_ARGUMENT if it cannot be read or is larger than kMaxRequestFileBytes.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

// Reads the request at `path`, or from standard input if `path` is "-". Array files that it names
// lie beside it, and their arrays may have `most_array_bytes` bytes in all.
//
// Fails as ReadTextFile and ParseRequestFile.
absl::StatusOr<RequestFile> ReadRequestFile(const std::string& path,
                                            uint64_t most_array_bytes = kMostMessageBytes);

// The same from a text; `name` is the name of the text in messages.
//
// INVALID_ARGUMENT if the text is not JSON ("NAME:LINE:COLUMN: ..."), has other keys than these,
// the request does not fit the schema ("NAME: request.tokens.tokens[2] has length 3; want 4, ..."),
// or the number of names is not the number of tokens. The server checks whether the shapes fit each
// other.
absl::StatusOr<RequestFile> ParseRequestFile(absl::string_view text, const std::string& name,
                                             const ArrayFiles& files = {});

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_REQUEST_FILE_H_
