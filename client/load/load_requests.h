#ifndef ATTENTION_CLIENT_LOAD_LOAD_REQUESTS_H_
#define ATTENTION_CLIENT_LOAD_LOAD_REQUESTS_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/attention_client.h"
#include "client/load/load_options.h"

namespace attention::client {

// One call, ready to be sent any number of times.
struct LoadRequest {
  bool is_encode = false;  // true: EncoderService/Encode; false: ComputeAttention
  grpc::ByteBuffer message;
  int64_t tokens = 0;
  // The digest (OutputDigest) of its answer when it is made alone; 0: not known.
  size_t want = 0;
};

struct LoadRequests {
  std::vector<LoadRequest> valid;
  LoadRequest invalid;  // has an index that is out of range
};

// Makes options.distinct_calls requests. Asks the server about options.layer; with options.verify
// it also makes each of the calls once, alone. INVALID_ARGUMENT if the layer cannot be called with
// these options; DATA_LOSS if an answer is wrong; otherwise fails as the client's calls do.
absl::StatusOr<LoadRequests> MakeLoadRequests(const LoadOptions& options,
                                              const AttentionClient& client);

// Returns a hash of the bytes of an answer's output, scores and weights, or of its pooled vectors.
// It differs between processes.
size_t OutputDigest(const v1::ComputeAttentionResponse& response);
size_t OutputDigest(const v1::EncodeResponse& response);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_REQUESTS_H_
