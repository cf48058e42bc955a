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

// Calls an attention server over gRPC connections, which are made by the first calls that need them
// and made again when they break. Messages may be as large as options.max_message_bytes says.
// Proxies named in the environment are not used. Programs that make many calls with
// large tensors call KeepFreedMemory() (freed_memory.h) when they start.
//
//   auto client = AttentionClient::Create({.target = "localhost:50051"});
//   v1::ComputeAttentionRequest request;
//   *request.mutable_tokens()->mutable_tokens() = MakeTensor({8, 3}, embeddings);
//   absl::StatusOr<v1::ComputeAttentionResponse> response = client->ComputeAttention(request);
//   absl::StatusOr<std::vector<float>> output = FloatValues(response->output());
//
// Thread-safe: one client for the whole program is what to make. Cheap to move; a client that was
// moved from may only be destroyed or assigned to.
//
// Each call fails with the server's code and message. Its google.rpc details are payloads of the
// status (call_status.h; FieldViolations() lists the fields that were refused). Of the codes that
// need no server:
//   UNAVAILABLE         nothing answers at the target, no server there is serving, or the
//                       answer was cut off on its way (IsCutOff): try again later (after
//                       options.retries). UploadLayer, CreateLayer and DeleteLayer are never made
//                       again; where they may have changed a layer, the text says so
//   DEADLINE_EXCEEDED   the timeout passed; nothing is known of the answer
//   RESOURCE_EXHAUSTED  a message is larger than an end takes; the text says how to mend it
class AttentionClient {
 public:
  // Does not wait for the server. Fails as CreateChannel and ReadCredentials.
  static absl::StatusOr<AttentionClient> Create(ClientOptions options);
  // With credentials that others share, in place of options.tls's files.
  static absl::StatusOr<AttentionClient> Create(ClientOptions options,
                                                const Credentials& credentials);

  // Attention for one batch of sequences. `timeout` replaces that of the options for this call.
  absl::StatusOr<v1::ComputeAttentionResponse> ComputeAttention(
      const v1::ComputeAttentionRequest& request,
      std::optional<absl::Duration> timeout = std::nullopt) const;

  // A stored encoder, from token ids or embeddings to hidden states and pooled vectors.
  absl::StatusOr<v1::EncodeResponse> Encode(
      const v1::EncodeRequest& request, std::optional<absl::Duration> timeout = std::nullopt) const;

  // Many calls on one stream. `timeout` bounds the whole stream; default: none.
  AttentionStream StreamAttention(absl::Duration timeout = absl::InfiniteDuration()) const;

  // The next bytes of a file, or none at its end. Valid until it is called again.
  using NextChunk = absl::FunctionRef<absl::StatusOr<absl::string_view>()>;

  // Uploads a layer, in pieces of up to 1 MiB; where `next` fails, the upload is cancelled and
  // fails as it does. `timeout` bounds the whole upload.
  absl::StatusOr<v1::Layer> UploadLayer(const v1::UploadLayerHeader& header, NextChunk next,
                                        std::optional<absl::Duration> timeout = std::nullopt) const;
  // Uploads the safetensors file at `path`. `on_sent` is told how many bytes were sent.
  absl::StatusOr<v1::Layer> UploadLayerFile(
      const v1::UploadLayerHeader& header, const std::string& path,
      std::optional<absl::Duration> timeout = std::nullopt,
      const std::function<void(int64_t bytes)>& on_sent = nullptr) const;

  // As LayerService says.
  absl::StatusOr<v1::Layer> CreateLayer(const v1::CreateLayerRequest& request,
                                        std::optional<absl::Duration> timeout = std::nullopt) const;
  absl::StatusOr<v1::Layer> GetLayer(const std::string& name, int64_t version = 0) const;
  absl::StatusOr<std::vector<v1::Layer>> ListLayers() const;  // all pages
  absl::Status DeleteLayer(const std::string& name, int64_t version = 0) const;

  // OK when `service` is SERVING; "" asks for the server as a whole. UNAVAILABLE when it is in
  // another state, NOT_FOUND when the server has no such service.
  absl::Status CheckHealth(const std::string& service = "",
                           std::optional<absl::Duration> timeout = std::nullopt) const;

  // Tells the state of `service` now and whenever it changes ("SERVING", "NOT_SERVING",
  // "SERVICE_UNKNOWN"), on this thread, until `on_state` returns false, which is OK, or the
  // connection breaks. `timeout` bounds the whole; default: none.
  absl::Status WatchHealth(const std::string& service,
                           absl::FunctionRef<bool(const std::string& state)> on_state,
                           absl::Duration timeout = absl::InfiniteDuration()) const;

  const ClientOptions& options() const { return options_; }

 private:
  // The functions that make one method's calls; attention_client.cc.
  template <typename Request, typename Response>
  struct Method;

  AttentionClient(ClientOptions options, std::unique_ptr<Connections> connections);

  // Calls `method` with `request`, again where that may help and does no harm.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(const Method<Request, Response>& method, const Request& request,
                                std::optional<absl::Duration> timeout = std::nullopt) const;
  // Calls the method of this path likewise. The answer is as it was received.
  template <const char* path, typename Request>
  absl::StatusOr<grpc::ByteBuffer> CallForBytes(const Request& request,
                                                std::optional<absl::Duration> timeout) const;
  absl::Time Deadline(std::optional<absl::Duration> timeout) const;

  ClientOptions options_;
  std::shared_ptr<Retries> retries_;          // shared with
  std::shared_ptr<Connections> connections_;  // the streams, which may be there for longer
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_ATTENTION_CLIENT_H_
