#ifndef ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PICTURE_H_
#define ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PICTURE_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/files/request_file.h"
#include "client/cli/views/attention_maps.h"

// `explain` as a picture, for documents and slides.
namespace attention::client {

// Draws the maps side by side, below the title of the file, each with the names of its tokens and,
// if there is room, its numbers in percent. Returns a PNG file.
//
// INVALID_ARGUMENT if the picture would be larger than 64 million pixels.
absl::StatusOr<std::string> ExplainPicture(const RequestFile& file, const AttentionMaps& maps);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PICTURE_H_
