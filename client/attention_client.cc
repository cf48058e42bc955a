#include "client/attention_client.h"

#include <cstddef>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call_status.h"
#include "client/hedged_call.h"
#include "client/parse_message.h"
#include "google/protobuf/empty.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"

namespace attention::client {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;  // of one part of an upload

// Adds to the failure of a call that changes layers what may have happened. A server that refuses
// the call says so with details, and a call that had no connection has reached no server. After any
// other UNAVAILABLE it is not known how far the call came.
absl::Status SayWhatMayHaveHappened(const absl::Status& failure) {
  const bool refused = failure.GetPayload("type.googleapis.com/google.rpc.ErrorInfo").has_value();
  if (!absl::IsUnavailable(failure) || refused || WasNeverSent(failure)) return failure;
  return WithHint(failure,
                  "the layer may or may not have been changed: look at the list of layers "
                  "before you try again");
}

using grpc::health::v1::HealthCheckResponse;

// Calls `method` of a connection's `stub`.
template <auto stub, auto method>
constexpr auto Through =
    [](Connection& connection, grpc::ClientContext* context, const auto& request, auto* response) {
      return (*(connection.*stub).*method)(context, request, response);
    };

constexpr char kComputeAttention[] = "/attention.v1.AttentionService/ComputeAttention";
constexpr char kEncode[] = "/attention.v1.EncoderService/Encode";

template <typename Request>
using StubForBytes = grpc::TemplatedGenericStub<Request, grpc::ByteBuffer>;

// Calls the method with this path, like a stub, but returns the answer as bytes that are not parsed
// yet.
template <const char* path>
constexpr auto WaitForBytes =
    []<typename Request>(Connection& connection, grpc::ClientContext* context,
                         const Request& request, grpc::ByteBuffer* bytes) {
      StubForBytes<Request> stub(connection.channel);
      grpc::CompletionQueue queue;
      const auto call = stub.PrepareUnaryCall(context, path, request, &queue);
      call->StartCall();
      grpc::Status status;
      call->Finish(bytes, &status, /*tag=*/nullptr);
      void* tag = nullptr;
      bool ok = false;
      queue.Next(&tag, &ok);  // waits for the end of the call
      queue.Shutdown();
      while (queue.Next(&tag, &ok)) {
      }
      return status;
    };

// The same without waiting for the end of the call; `ended` is then called.
template <const char* path>
constexpr auto StartForBytes = []<typename Request>(Connection& connection,
                                                    grpc::ClientContext* context,
                                                    const Request& request, grpc::ByteBuffer* bytes,
                                                    std::function<void(grpc::Status)> ended) {
  StubForBytes<Request>(connection.channel)
      .UnaryCall(context, path, grpc::StubOptions(), &request, bytes, std::move(ended));
};

template <typename Response>
absl::StatusOr<Response> Parsed(absl::StatusOr<grpc::ByteBuffer> bytes) {
  if (!bytes.ok()) return bytes.status();
  Response response;
  if (absl::Status status = ParseMessage(*bytes, response); !status.ok()) return status;
  return response;
}

}  // namespace

template <typename Request, typename Response>
struct AttentionClient::Method {
  using Call = grpc::Status (*)(Connection& connection, grpc::ClientContext* context,
                                const Request& request, Response* response);
  using Start = void (*)(Connection& connection, grpc::ClientContext* context,
                         const Request& request, Response* response,
                         std::function<void(grpc::Status)> ended);

  Call call;
  Start start = nullptr;        // set for methods whose calls may be hedged
  bool changes_layers = false;  // such calls are never made again

  // Makes one attempt, or two if the first takes long.
  std::unique_ptr<Attempt<Response>> Try(
      const Request& request, absl::Duration hedge_after, absl::FunctionRef<bool()> may_hedge,
      absl::FunctionRef<std::unique_ptr<Attempt<Response>>(const Connection*)> make) const {
    if (start != nullptr && hedge_after != absl::InfiniteDuration()) {
      return HedgedCall<Response>(hedge_after, may_hedge, make, [&](auto& attempt, auto ended) {
        start(*attempt.place, &attempt.context, request, &attempt.response, std::move(ended));
      });
    }
    std::unique_ptr<Attempt<Response>> attempt = make(/*avoid=*/nullptr);
    attempt->status = call(*attempt->place, &attempt->context, request, &attempt->response);
    return attempt;
  }
};

absl::StatusOr<AttentionClient> AttentionClient::Create(ClientOptions options) {
  const absl::StatusOr<Credentials> credentials = ReadCredentials(options.tls);
  if (!credentials.ok()) return credentials.status();
  return Create(std::move(options), *credentials);
}

absl::StatusOr<AttentionClient> AttentionClient::Create(ClientOptions options,
                                                        const Credentials& credentials) {
  absl::StatusOr<std::unique_ptr<Connections>> connections =
      Connections::Create(options, credentials);
  if (!connections.ok()) return connections.status();
  return AttentionClient(std::move(options), *std::move(connections));
}

AttentionClient::AttentionClient(ClientOptions options, std::unique_ptr<Connections> connections)
    : options_(std::move(options)),
      retries_(std::make_shared<Retries>(options_.retries)),
      connections_(std::move(connections)),
      health_(grpc::health::v1::Health::NewStub(connections_->Unwatched().channel)) {}

template <typename Request, typename Response>
absl::StatusOr<Response> AttentionClient::Call(const Method<Request, Response>& method,
                                               const Request& request,
                                               std::optional<absl::Duration> timeout) const {
  const size_t bytes = request.ByteSizeLong();
  // This is checked here because gRPC would first serialise the request, and report a request that
  // is too large for protobuf as INTERNAL.
  if (bytes > static_cast<size_t>(options_.max_message_bytes)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the request is ", bytes, " bytes, and this client sends at most ",
                     options_.max_message_bytes,
                     "; send a smaller batch, or start server and client with a "
                     "larger --max_message_mib, at most 2047"));
  }
  const absl::Time deadline = Deadline(timeout);
  for (int failures = 1;; ++failures) {
    const std::unique_ptr<Attempt<Response>> attempt = method.Try(
        request, options_.hedge_after, [this] { return retries_->TakeHedge(); },
        [&](const Connection* avoid) {
          return std::make_unique<Attempt<Response>>(*connections_, bytes, avoid, deadline);
        });
    if (attempt->status->ok()) {
      retries_->CountSuccess();
      return std::move(attempt->response);
    }
    absl::Status failure =
        ExplainFailure(*attempt->status, *attempt->place->channel, options_.target);
    if (method.changes_layers) return SayWhatMayHaveHappened(failure);
    const auto wait = retries_->NextWait(failure, PushbackOf(attempt->context), failures);
    if (!wait.has_value() || absl::Now() + *wait >= deadline) return failure;
    absl::SleepFor(*wait);
  }
}

template <const char* path, typename Request>
absl::StatusOr<grpc::ByteBuffer> AttentionClient::CallForBytes(
    const Request& request, std::optional<absl::Duration> timeout) const {
  const Method<Request, grpc::ByteBuffer> method = {WaitForBytes<path>, StartForBytes<path>};
  return Call(method, request, timeout);
}

absl::StatusOr<v1::ComputeAttentionResponse> AttentionClient::ComputeAttention(
    const v1::ComputeAttentionRequest& request, std::optional<absl::Duration> timeout) const {
  return Parsed<v1::ComputeAttentionResponse>(CallForBytes<kComputeAttention>(request, timeout));
}

absl::StatusOr<v1::EncodeResponse> AttentionClient::Encode(
    const v1::EncodeRequest& request, std::optional<absl::Duration> timeout) const {
  return Parsed<v1::EncodeResponse>(CallForBytes<kEncode>(request, timeout));
}

AttentionStream AttentionClient::StreamAttention(absl::Duration timeout) const {
  return {connections_, retries_, options_.target, Deadline(timeout)};
}

absl::StatusOr<v1::Layer> AttentionClient::UploadLayer(
    const v1::UploadLayerHeader& header, NextChunk next,
    std::optional<absl::Duration> timeout) const {
  const absl::Time deadline = Deadline(timeout);
  const Connections::Place place = connections_->TakeKnown(Connections::kManyBytes, deadline);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  v1::Layer layer;
  const std::unique_ptr<grpc::ClientWriter<v1::UploadLayerRequest>> writer =
      place->layers->UploadLayer(&context, &layer);
  v1::UploadLayerRequest part;
  *part.mutable_header() = header;
  while (writer->Write(part)) {  // Write fails when the server wants no more parts
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
  if (status.ok()) return layer;
  return SayWhatMayHaveHappened(ExplainFailure(status, *place->channel, options_.target));
}

absl::StatusOr<v1::Layer> AttentionClient::UploadLayerFile(
    const v1::UploadLayerHeader& header, const std::string& path,
    std::optional<absl::Duration> timeout, const std::function<void(int64_t)>& on_sent) const {
  std::ifstream file(path, std::ios::binary);
  std::string chunk(kChunkBytes, '\0');
  int64_t sent = 0;
  const auto next = [&]() -> absl::StatusOr<absl::string_view> {
    // `next` is called again only after the chunk before was sent.
    if (on_sent != nullptr) on_sent(sent);
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    if (file.bad()) return absl::DataLossError(absl::StrCat("cannot read ", path));
    sent += file.gcount();
    return absl::string_view(chunk.data(), static_cast<size_t>(file.gcount()));
  };
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  return UploadLayer(header, next, timeout);
}

absl::StatusOr<v1::Layer> AttentionClient::CreateLayer(
    const v1::CreateLayerRequest& request, std::optional<absl::Duration> timeout) const {
  const Method<v1::CreateLayerRequest, v1::Layer> method = {
      .call = Through<&Connection::layers, &v1::LayerService::Stub::CreateLayer>,
      .changes_layers = true};
  return Call(method, request, timeout);
}

absl::StatusOr<v1::Layer> AttentionClient::GetLayer(const std::string& name,
                                                    int64_t version) const {
  const Method<v1::GetLayerRequest, v1::Layer> method = {
      Through<&Connection::layers, &v1::LayerService::Stub::GetLayer>};
  v1::GetLayerRequest request;
  request.mutable_layer()->set_name(name);
  request.mutable_layer()->set_version(version);
  return Call(method, request);
}

absl::StatusOr<std::vector<v1::Layer>> AttentionClient::ListLayers() const {
  const Method<v1::ListLayersRequest, v1::ListLayersResponse> method = {
      Through<&Connection::layers, &v1::LayerService::Stub::ListLayers>};
  std::vector<v1::Layer> layers;
  v1::ListLayersRequest request;
  do {
    const absl::StatusOr<v1::ListLayersResponse> page = Call(method, request);
    if (!page.ok()) return page.status();
    layers.insert(layers.end(), page->layers().begin(), page->layers().end());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return layers;
}

absl::Status AttentionClient::DeleteLayer(const std::string& name, int64_t version) const {
  const Method<v1::DeleteLayerRequest, google::protobuf::Empty> method = {
      .call = Through<&Connection::layers, &v1::LayerService::Stub::DeleteLayer>,
      .changes_layers = true};
  v1::DeleteLayerRequest request;
  request.mutable_layer()->set_name(name);
  request.mutable_layer()->set_version(version);
  return Call(method, request).status();
}

absl::Status AttentionClient::CheckHealth(const std::string& service,
                                          std::optional<absl::Duration> timeout) const {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(Deadline(timeout)));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  const grpc::Status status = health_->Check(&context, request, &response);
  if (!status.ok())
    return ExplainFailure(status, *connections_->Unwatched().channel, options_.target);
  if (response.status() == HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(service.empty() ? "the server" : service, " at ", options_.target, " is ",
                   HealthCheckResponse::ServingStatus_Name(response.status())));
}

absl::Status AttentionClient::WatchHealth(const std::string& service,
                                          absl::FunctionRef<bool(const std::string&)> on_state,
                                          absl::Duration timeout) const {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(Deadline(timeout)));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  const auto reader = health_->Watch(&context, request);
  HealthCheckResponse response;
  while (reader->Read(&response)) {
    if (on_state(HealthCheckResponse::ServingStatus_Name(response.status()))) continue;
    context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  return ExplainFailure(reader->Finish(), *connections_->Unwatched().channel, options_.target);
}

absl::Time AttentionClient::Deadline(std::optional<absl::Duration> timeout) const {
  return absl::Now() + timeout.value_or(options_.timeout);
}

}  // namespace attention::client
