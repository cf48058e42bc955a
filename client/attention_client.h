#ifndef ATTENTION_CLIENT_ATTENTION_CLIENT_H_
#define ATTENTION_CLIENT_ATTENTION_CLIENT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "attention/v1/attention_service.grpc.pb.h"
#include "attention/v1/layer_service.grpc.pb.h"
#include "client/channel.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace attention::client {

// Calls an attention server over one gRPC connection, which is made by the first call and made
// again when it breaks. Messages of any size that protobuf allows (2 GiB) pass. Proxies named in
// the environment are not used.
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
//   UNAVAILABLE         nothing answers at the target, or it is shutting down: try again later
//                       (after options.retries)
//   DEADLINE_EXCEEDED   the timeout passed; nothing is known of the answer
//   RESOURCE_EXHAUSTED  a message is larger than an end takes; the text says how to mend it
class AttentionClient {
 public:
  // Does not wait for the server. Fails as CreateChannel.
  static absl::StatusOr<AttentionClient> Create(ClientOptions options);

  // Attention for one batch of sequences. `timeout` replaces that of the options for this call.
  absl::StatusOr<v1::ComputeAttentionResponse> ComputeAttention(
      const v1::ComputeAttentionRequest& request,
      std::optional<absl::Duration> timeout = std::nullopt) const;

  // A stored encoder, from token ids or embeddings to hidden states and pooled vectors.
  absl::StatusOr<v1::EncodeResponse> Encode(
      const v1::EncodeRequest& request, std::optional<absl::Duration> timeout = std::nullopt) const;

  // The next bytes of a file, or none at its end. Valid until it is called again.
  using NextChunk = absl::FunctionRef<absl::StatusOr<absl::string_view>()>;

  // Uploads a layer, in pieces of up to 1 MiB; where `next` fails, the upload is cancelled and
  // fails as it does. `timeout` bounds the whole upload.
  absl::StatusOr<v1::Layer> UploadLayer(const v1::UploadLayerHeader& header, NextChunk next,
                                        std::optional<absl::Duration> timeout = std::nullopt) const;
  // Uploads the safetensors file at `path`.
  absl::StatusOr<v1::Layer> UploadLayerFile(
      const v1::UploadLayerHeader& header, const std::string& path,
      std::optional<absl::Duration> timeout = std::nullopt) const;

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

  const ClientOptions& options() const { return options_; }

 private:
  AttentionClient(ClientOptions options, std::shared_ptr<grpc::Channel> channel);

  // Calls `method` of `stub` with `request`, again where that may help.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
      const Request& request, std::optional<absl::Duration> timeout) const;
  absl::Time Deadline(std::optional<absl::Duration> timeout) const;
  // As FromGrpcStatus, with advice where this end knows better than the server what to do.
  absl::Status ExplainFailure(const grpc::Status& status) const;

  ClientOptions options_;
  std::unique_ptr<Retries> retries_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::AttentionService::Stub> attention_;
  std::unique_ptr<v1::LayerService::Stub> layers_;
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_ATTENTION_CLIENT_H_
