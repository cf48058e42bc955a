#include "client/attention_client.h"

#include <climits>
#include <cstddef>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call_status.h"

namespace attention::client {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;  // of an upload

}  // namespace

absl::StatusOr<AttentionClient> AttentionClient::Create(ClientOptions options) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = CreateChannel(options);
  if (!channel.ok()) return channel.status();
  return AttentionClient(std::move(options), *std::move(channel));
}

AttentionClient::AttentionClient(ClientOptions options, std::shared_ptr<grpc::Channel> channel)
    : options_(std::move(options)),
      retries_(std::make_unique<Retries>(options_.retries)),
      channel_(std::move(channel)),
      attention_(v1::AttentionService::NewStub(channel_)),
      layers_(v1::LayerService::NewStub(channel_)),
      health_(grpc::health::v1::Health::NewStub(channel_)) {}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> AttentionClient::Call(
    Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
    const Request& request, std::optional<absl::Duration> timeout) const {
  const size_t bytes = request.ByteSizeLong();
  // protobuf does not serialise more, and gRPC would report that as an INTERNAL error.
  if (bytes > INT_MAX) {
    return absl::ResourceExhaustedError(absl::StrCat("the request is ", bytes,
                                                     " bytes, larger than the 2 GiB of a protobuf "
                                                     "message; send a smaller batch"));
  }
  const absl::Time deadline = Deadline(timeout);
  for (int failures = 1;; ++failures) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) {
      retries_->CountSuccess();
      return response;
    }
    absl::Status failure = ExplainFailure(status);
    const auto wait = retries_->NextWait(failure, PushbackOf(context), failures);
    if (!wait.has_value() || absl::Now() + *wait >= deadline) return failure;
    absl::SleepFor(*wait);
  }
}

absl::StatusOr<v1::ComputeAttentionResponse> AttentionClient::ComputeAttention(
    const v1::ComputeAttentionRequest& request, std::optional<absl::Duration> timeout) const {
  return Call(*attention_, &v1::AttentionService::Stub::ComputeAttention, request, timeout);
}

absl::StatusOr<v1::EncodeResponse> AttentionClient::Encode(
    const v1::EncodeRequest& request, std::optional<absl::Duration> timeout) const {
  return Call(*attention_, &v1::AttentionService::Stub::Encode, request, timeout);
}

absl::StatusOr<v1::Layer> AttentionClient::UploadLayer(
    const v1::UploadLayerHeader& header, NextChunk next,
    std::optional<absl::Duration> timeout) const {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(Deadline(timeout)));
  v1::Layer layer;
  const std::unique_ptr<grpc::ClientWriter<v1::UploadLayerRequest>> writer =
      layers_->UploadLayer(&context, &layer);
  v1::UploadLayerRequest part;
  *part.mutable_header() = header;
  while (writer->Write(part)) {  // until the server has heard enough
    const absl::StatusOr<absl::string_view> chunk = next();
    if (!chunk.ok()) {
      context.TryCancel();
      writer->Finish();
      return chunk.status();
    }
    if (chunk->empty()) break;
    part.set_chunk(chunk->data(), chunk->size());
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return ExplainFailure(status);
  return layer;
}

absl::StatusOr<v1::Layer> AttentionClient::UploadLayerFile(
    const v1::UploadLayerHeader& header, const std::string& path,
    std::optional<absl::Duration> timeout) const {
  std::ifstream file(path, std::ios::binary);
  std::string chunk(kChunkBytes, '\0');
  const auto next = [&]() -> absl::StatusOr<absl::string_view> {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    if (file.bad()) return absl::DataLossError(absl::StrCat("cannot read ", path));
    return absl::string_view(chunk.data(), static_cast<size_t>(file.gcount()));
  };
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  return UploadLayer(header, next, timeout);
}

absl::StatusOr<v1::Layer> AttentionClient::CreateLayer(
    const v1::CreateLayerRequest& request, std::optional<absl::Duration> timeout) const {
  return Call(*layers_, &v1::LayerService::Stub::CreateLayer, request, timeout);
}

absl::StatusOr<v1::Layer> AttentionClient::GetLayer(const std::string& name,
                                                    int64_t version) const {
  v1::GetLayerRequest request;
  request.mutable_layer()->set_name(name);
  request.mutable_layer()->set_version(version);
  return Call(*layers_, &v1::LayerService::Stub::GetLayer, request, std::nullopt);
}

absl::StatusOr<std::vector<v1::Layer>> AttentionClient::ListLayers() const {
  std::vector<v1::Layer> layers;
  v1::ListLayersRequest request;
  do {
    const absl::StatusOr<v1::ListLayersResponse> page =
        Call(*layers_, &v1::LayerService::Stub::ListLayers, request, std::nullopt);
    if (!page.ok()) return page.status();
    layers.insert(layers.end(), page->layers().begin(), page->layers().end());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return layers;
}

absl::Status AttentionClient::DeleteLayer(const std::string& name, int64_t version) const {
  v1::DeleteLayerRequest request;
  request.mutable_layer()->set_name(name);
  request.mutable_layer()->set_version(version);
  return Call(*layers_, &v1::LayerService::Stub::DeleteLayer, request, std::nullopt).status();
}

absl::Status AttentionClient::CheckHealth(const std::string& service,
                                          std::optional<absl::Duration> timeout) const {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(Deadline(timeout)));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = health_->Check(&context, request, &response);
  if (!status.ok()) return ExplainFailure(status);
  if (response.status() == grpc::health::v1::HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(service.empty() ? "the server" : service, " at ", options_.target, " is ",
                   grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status())));
}

absl::Time AttentionClient::Deadline(std::optional<absl::Duration> timeout) const {
  return absl::Now() + timeout.value_or(options_.timeout);
}

absl::Status AttentionClient::ExplainFailure(const grpc::Status& status) const {
  const absl::Status result = FromGrpcStatus(status);
  const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/false);
  const bool connected =
      state != GRPC_CHANNEL_TRANSIENT_FAILURE && state != GRPC_CHANNEL_CONNECTING;
  if (absl::IsUnavailable(result) && !connected) {
    return WithHint(result, absl::StrCat("no connection to ", options_.target,
                                         ": is attention_server running there, and is the target "
                                         "the HOST:PORT that it prints when it starts?"));
  }
  if (absl::IsDeadlineExceeded(result) && !connected) {
    return WithHint(result, absl::StrCat("no connection to ", options_.target,
                                         " in that time: is the host right, and does a firewall "
                                         "let the port through?"));
  }
  // gRPC's own words, from either end.
  if (absl::IsResourceExhausted(result) && absl::StrContains(result.message(), "larger than max")) {
    return WithHint(result,
                    "start the server with a larger --max_message_mib, or ask for fewer results, "
                    "for some queries only (query_indices) or send a smaller batch");
  }
  return result;
}

}  // namespace attention::client
