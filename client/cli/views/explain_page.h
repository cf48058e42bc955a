#ifndef ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PAGE_H_
#define ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.pb.h"
#include "client/cli/files/request_file.h"

// `explain` as one HTML page that needs no other file. It shows heat maps and lines, chosen by
// layer, sequence and head, and the arithmetic behind each cell.
namespace attention::client {

// The most cells and numbers of a page. Browsers do not show larger pages well.
inline constexpr int64_t kMostPageCells = 400'000;

// Changes the request to ask for what the page shows: biased scores, weights, queries, keys and
// values.
void AskForPage(v1::ComputeAttentionRequest& request);
// The same for a stored encoder, whose heads can return scores and weights only. Asks for all
// `num_layers` layers, unless the request has probes already.
void AskForPage(int num_layers, v1::EncodeRequest& request);

// Makes the page. `response` is the server's response to the file's request after AskForPage.
//
// INVALID_ARGUMENT if the request is a ragged batch or merges partial results, or if there are more
// than kMostPageCells cells. INTERNAL if a tensor of the response is missing or does not fit its
// shape.
absl::StatusOr<std::string> ExplainPage(const RequestFile& file,
                                        const v1::ComputeAttentionResponse& response);
absl::StatusOr<std::string> ExplainPage(const RequestFile& file,
                                        const v1::EncodeResponse& response);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PAGE_H_
