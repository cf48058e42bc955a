#ifndef ATTENTION_CLIENT_CLI_VIEWS_ATTEND_VIEW_H_
#define ATTENTION_CLIENT_CLI_VIEWS_ATTEND_VIEW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.pb.h"
#include "client/cli/files/token_names.h"

namespace attention::client {

// Every result of the response as aligned tables, in the order of the computation: a heading with
// the shape, then one table for each sequence, head and what else comes before the last two axes.
//
// INTERNAL: a tensor of the response is not what its shape says.
absl::StatusOr<std::string> FormatResults(const v1::ComputeAttentionResponse& response,
                                          const TokenNames& names);

// The same of an encoder's response: hidden states, pooled vectors and what probes found. `words`
// name the tokens of one sequence, or are empty; of several sequences tokens have numbers.
absl::StatusOr<std::string> FormatResults(const v1::EncodeResponse& response,
                                          const std::vector<std::string>& words);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_ATTEND_VIEW_H_
