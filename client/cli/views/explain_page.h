#ifndef ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PAGE_H_
#define ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.pb.h"
#include "client/cli/files/request_file.h"

// `explain` as one HTML page that needs nothing else: heat maps and lines to choose by layer,
// sequence and head, and of each cell the arithmetic that made it.
namespace attention::client {

// More cells and numbers than this make a page that no browser shows well.
inline constexpr int64_t kMostPageCells = 400'000;

// Changes the request to ask for what the page shows: scores as they are normalised, weights,
// queries, keys and values.
void AskForPage(v1::ComputeAttentionRequest& request);
// The same for a stored encoder, of whose heads only scores and weights can be had: of all
// `num_layers` layers, unless the request has probes of its own.
void AskForPage(int num_layers, v1::EncodeRequest& request);

// The page. `response` is the server's to the file's request after AskForPage.
//
// INVALID_ARGUMENT: a ragged batch, partial results, or more than kMostPageCells cells; INTERNAL:
// a tensor of the response is missing or not what its shape says.
absl::StatusOr<std::string> ExplainPage(const RequestFile& file,
                                        const v1::ComputeAttentionResponse& response);
absl::StatusOr<std::string> ExplainPage(const RequestFile& file,
                                        const v1::EncodeResponse& response);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_PAGE_H_
