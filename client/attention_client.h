#ifndef ATTENTION_CLIENT_ATTENTION_CLIENT_H_
#define ATTENTION_CLIENT_ATTENTION_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "attention/v1/attention_service.pb.h"
#include "attention/v1/layer_service.pb.h"
#include "client/attention_stream.h"
#include "client/channel.h"
#include "client/connections.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"

namespace attention::client {

// Calls an attention server over gRPC connections. A connection is made by the first call that
// needs it, and made again when it breaks. Messages may have up to options.max_message_bytes bytes.
// Proxies that the environment names are not used. Programs that make many calls with large tensors
// call KeepFreedMemory() (freed_memory.h) when they start.
//
//   auto client = AttentionClient::Create({.target = "localhost:50051"});
//   v1::ComputeAttentionRequest request;
//   *request.mutable_tokens()->mutable_tokens() = MakeTensor({8, 3}, embeddings);
//   absl::StatusOr<v1::ComputeAttentionResponse> response = client->ComputeAttention(request);
//   absl::StatusOr<std::vector<float>> output = FloatValues(response->output());
//
// Thread-safe: a program should make one client and share it. Cheap to move; a client that was
// moved from may only be destroyed or assigned to.
//
// Each call fails with the server's code and message. Its google.rpc details are payloads of the
// status (call_status.h; FieldViolations() lists the fields that were refused). Some codes arise
// without a server:
//   UNAVAILABLE         nothing answers at the target, no server there is serving, or the
//                       answer was cut off on its way (IsCutOff): try again later (after
//                       options.retries). UploadLayer, CreateLayer and DeleteLayer are never made
//                       again; where they may have changed a layer, the text says so
//   DEADLINE_EXCEEDED   the timeout passed; nothing is known of the answer
//   RESOURCE_EXHAUSTED  a message is larger than an end takes; the text says how to mend it
class AttentionClient {
 public:
  // Returns without waiting for the server. Fails as CreateChannel and ReadCredentials.
  static absl::StatusOr<AttentionClient> Create(ClientOptions options);
  // Uses credentials that several clients may share, instead of the files of options.tls.
  static absl::StatusOr<AttentionClient> Create(ClientOptions options,
                                                const Credentials& credentials);

  // Computes attention for one batch of sequences. `timeout` replaces options.timeout for this
  // call.
  absl::StatusOr<v1::ComputeAttentionResponse> ComputeAttention(
      const v1::ComputeAttentionRequest& request,
      std::optional<absl::Duration> timeout = std::nullopt) const;

  // Runs a stored encoder, from token ids or embeddings to hidden states and pooled vectors.
  absl::StatusOr<v1::EncodeResponse> Encode(
      const v1::EncodeRequest& request, std::optional<absl::Duration> timeout = std::nullopt) const;

  // Makes many calls on one stream. `timeout` bounds the whole stream; by default nothing does.
  AttentionStream StreamAttention(absl::Duration timeout = absl::InfiniteDuration()) const;

  // Returns the next bytes of a file, or an empty text at its end. They are valid until the next
  // call.
  using NextChunk = absl::FunctionRef<absl::StatusOr<absl::string_view>()>;

  // Uploads a layer, in pieces of up to 1 MiB. If `next` fails, the upload is cancelled and fails
  // with the same status. `timeout` bounds the whole upload.
  absl::StatusOr<v1::Layer> UploadLayer(const v1::UploadLayerHeader& header, NextChunk next,
                                        std::optional<absl::Duration> timeout = std::nullopt) const;
  // Uploads the safetensors file at `path`. `on_sent` is called with the number of bytes sent so
  // far.
  absl::StatusOr<v1::Layer> UploadLayerFile(
      const v1::UploadLayerHeader& header, const std::string& path,
      std::optional<absl::Duration> timeout = std::nullopt,
      const std::function<void(int64_t bytes)>& on_sent = nullptr) const;

  // These four do what the methods of LayerService do (layer_service.proto).
  absl::StatusOr<v1::Layer> CreateLayer(const v1::CreateLayerRequest& request,
                                        std::optional<absl::Duration> timeout = std::nullopt) const;
  absl::StatusOr<v1::Layer> GetLayer(const std::string& name, int64_t version = 0) const;
  absl::StatusOr<std::vector<v1::Layer>> ListLayers() const;  // all pages
  absl::Status DeleteLayer(const std::string& name, int64_t version = 0) const;

  // OK when `service` is SERVING; "" asks for the server as a whole. UNAVAILABLE when it is in
  // another state, NOT_FOUND when the server has no such service.
  absl::Status CheckHealth(const std::string& service = "",
                           std::optional<absl::Duration> timeout = std::nullopt) const;

  // Calls `on_state` on this thread with the state of `service` ("SERVING", "NOT_SERVING" or
  // "SERVICE_UNKNOWN"), now and whenever it changes. Ends with OK when `on_state` returns false,
  // and with an error when the connection breaks. `timeout` bounds the whole call; by default
  // nothing does.
  absl::Status WatchHealth(const std::string& service,
                           absl::FunctionRef<bool(const std::string& state)> on_state,
                           absl::Duration timeout = absl::InfiniteDuration()) const;

  const ClientOptions& options() const { return options_; }

 private:
  // The functions that make the calls of one method; see attention_client.cc.
  template <typename Request, typename Response>
  struct Method;

  AttentionClient(ClientOptions options, std::unique_ptr<Connections> connections);

  // Calls `method` with `request`, and calls it again after a failure if that may help and does no
  // harm.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(const Method<Request, Response>& method, const Request& request,
                                std::optional<absl::Duration> timeout = std::nullopt) const;
  // The same for the method with this path. Returns the answer as the bytes that were received.
  template <const char* path, typename Request>
  absl::StatusOr<grpc::ByteBuffer> CallForBytes(const Request& request,
                                                std::optional<absl::Duration> timeout) const;
  absl::Time Deadline(std::optional<absl::Duration> timeout) const;

  ClientOptions options_;
  std::shared_ptr<Retries> retries_;          // shared with the streams, which
  std::shared_ptr<Connections> connections_;  // may live longer than the client
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_ATTENTION_CLIENT_H_
