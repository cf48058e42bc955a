#ifndef ATTENTION_CLIENT_CLI_VIEWS_ATTEND_VIEW_H_
#define ATTENTION_CLIENT_CLI_VIEWS_ATTEND_VIEW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.pb.h"
#include "client/cli/files/token_names.h"

namespace attention::client {

// Formats every result of the response as aligned tables, in the order of the computation: a
// heading with the shape, then one table for each index of the axes before the last two, such as
// sequence and head.
//
// INTERNAL if a tensor of the response does not fit its shape.
absl::StatusOr<std::string> FormatResults(const v1::ComputeAttentionResponse& response,
                                          const TokenNames& names);

// The same for an encoder's response: hidden states, pooled vectors and the results of probes.
// `words` name the tokens if there is one sequence, or are empty. With several sequences tokens
// have numbers instead.
absl::StatusOr<std::string> FormatResults(const v1::EncodeResponse& response,
                                          const std::vector<std::string>& words);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_ATTEND_VIEW_H_
