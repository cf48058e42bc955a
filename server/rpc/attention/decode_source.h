#ifndef ATTENTION_SERVER_RPC_ATTENTION_DECODE_SOURCE_H_
#define ATTENTION_SERVER_RPC_ATTENTION_DECODE_SOURCE_H_

#include "absl/status/status.h"
#include "attention/v1/attention_service.pb.h"
#include "server/rpc/attention/decode_request.h"

namespace attention::rpc {

// Decode one kind of source and set, in `decoded`: call.source, call.shape and call.sequences (for
// all queries of the source), call.source_len, call.types and output_shape. The heads are those of
// `config`, or what the shapes say. FieldError where something does not fit.
//
// DecodeTokens takes the layer that the source may name from `layers`; it fails as LayerStore::Get.
absl::Status DecodeTokens(const v1::TokensSource& source, const v1::AttentionConfig& config,
                          int64_t max_tokens, engine::LayerStore& layers, DecodedRequest& decoded);
absl::Status DecodeProjected(const v1::ProjectedSource& source, const v1::AttentionConfig& config,
                             int64_t max_tokens, DecodedRequest& decoded);
absl::Status DecodeWeighted(const v1::WeightedSource& source, const v1::AttentionConfig& config,
                            int64_t max_tokens, DecodedRequest& decoded);
absl::Status DecodePartials(const v1::PartialsSource& source, const v1::AttentionConfig& config,
                            int64_t max_tokens, DecodedRequest& decoded);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_DECODE_SOURCE_H_
