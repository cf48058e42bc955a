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
  bool is_encode = false;  // EncoderService/Encode, else ComputeAttention
  grpc::ByteBuffer message;
  int64_t tokens = 0;
  // The digest of what it is answered with when it is made alone (OutputDigest); 0: not known.
  size_t want = 0;
};

struct LoadRequests {
  std::vector<LoadRequest> valid;
  LoadRequest invalid;  // an index that is out of range
};

// Makes options.distinct_calls calls. Asks the server about options.layer; with options.verify it
// makes each of the calls once, alone. INVALID_ARGUMENT: the layer cannot be called like that;
// DATA_LOSS: an answer is wrong; else as the client's calls fail.
absl::StatusOr<LoadRequests> MakeLoadRequests(const LoadOptions& options,
                                              const AttentionClient& client);

// Of an answer: a hash of the bytes of its output, scores and weights, or of its pooled vectors.
// Another in each process.
size_t OutputDigest(const v1::ComputeAttentionResponse& response);
size_t OutputDigest(const v1::EncodeResponse& response);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_REQUESTS_H_
