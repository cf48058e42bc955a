#ifndef ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_VIEW_H_
#define ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_VIEW_H_

#include <string>

#include "attention/v1/attention_service.pb.h"
#include "client/cli/files/request_file.h"
#include "client/cli/views/attention_maps.h"
#include "client/cli/views/heat_map.h"

// The view of a request that people understand at a glance: who attends to whom.
namespace attention::client {

// Changes the request to ask for what the view shows and no more: the attention weights, or, where
// the caller supplied them (`weighted`), nothing but the server's check of the whole request.
void AskForExplanation(v1::ComputeAttentionRequest& request);

// The same for a stored encoder: asks for the attention weights of all heads of all `num_layers`
// layers, unless the request has probes of its own.
void AskForExplanation(int num_layers, v1::EncodeRequest& request);

// For each map a heat map, queries to the left and keys above, and below it what each query attends
// to most: the file's request.top_k keys, or 3.
std::string FormatExplanation(const RequestFile& file, const AttentionMaps& maps, Shading shading);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_EXPLAIN_VIEW_H_
