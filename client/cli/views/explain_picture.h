#ifndef ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PICTURE_H_
#define ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PICTURE_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/files/request_file.h"
#include "client/cli/views/attention_maps.h"

// `explain` as a picture, for documents and slides.
namespace attention::client {

// The maps side by side, each with the names of its tokens and, where there is room, its numbers in
// percent, below the file's title; as a PNG file.
//
// INVALID_ARGUMENT: it would be larger than 64 million pixels.
absl::StatusOr<std::string> ExplainPicture(const RequestFile& file, const AttentionMaps& maps);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PICTURE_H_
