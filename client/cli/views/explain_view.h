#ifndef ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_VIEW_H_
#define ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_VIEW_H_

#include <string>

#include "attention/v1/attention_service.pb.h"
#include "client/cli/files/request_file.h"
#include "client/cli/views/attention_maps.h"
#include "client/cli/views/heat_map.h"

// Shows at a glance which token attends to which.
namespace attention::client {

// Changes the request to ask only for what the view shows: the attention weights. If the caller
// supplied the weights (`weighted`), it asks for no particular result; the call then only lets the
// server check the request.
void AskForExplanation(v1::ComputeAttentionRequest& request);

// The same for a stored encoder: asks for the attention weights of all heads of all `num_layers`
// layers, unless the request has probes already.
void AskForExplanation(int num_layers, v1::EncodeRequest& request);

// Formats each map as a heat map, with queries on the left and keys above, and below it the keys
// that each query attends to most: request.top_k of the file, or 3.
std::string FormatExplanation(const RequestFile& file, const AttentionMaps& maps, Shading shading);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_VIEW_H_
