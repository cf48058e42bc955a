#ifndef ATTENTION_CLIENT_EXPLAIN_VIEW_H_
#define ATTENTION_CLIENT_EXPLAIN_VIEW_H_

#include <string>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.pb.h"
#include "client/heat_map.h"
#include "client/request_file.h"

// The view of a request that people understand at a glance: who attends to whom.
namespace attention::client {

// Changes the request to ask for what the view shows and no more: the attention weights, or, where
// the caller supplied them (`weighted`), nothing but the server's check of the whole request.
void AskForExplanation(v1::ComputeAttentionRequest& request);

// For each sequence and head a heat map of the attention weights, queries to the left and keys
// above, and below it what each query attends to most: the request's top_k keys, or 3. `response`
// is the server's to file.request after AskForExplanation.
//
// INTERNAL: the attention weights are missing or not what their shape says.
absl::StatusOr<std::string> FormatExplanation(const RequestFile& file,
                                              const v1::ComputeAttentionResponse& response,
                                              Shading shading);

// The same for a stored encoder: asks for the attention weights of all heads of all `num_layers`
// layers, unless the request has probes of its own.
void AskForExplanation(int num_layers, v1::EncodeRequest& request);

// For each layer, sequence and head that was asked for a heat map as above.
absl::StatusOr<std::string> FormatExplanation(const RequestFile& file,
                                              const v1::EncodeResponse& response, Shading shading);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_EXPLAIN_VIEW_H_
