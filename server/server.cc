#include "server/server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/end_connections.h"
#include "server/host/cpu_budget.h"
#include "server/host/mib.h"
#include "server/ops/host_port.h"
#include "server/ops/tls.h"
#include "server/transport.h"

namespace attention {
namespace {

// Widths of heads that most models have: their operators are there before the first call.
constexpr int64_t kUsualHeadWidths[] = {64, 128};

absl::StatusOr<engine::MemoryPlan> PlanMemory(const ServerOptions& options) {
  return engine::PlanMemory({.total = options.memory_mib > 0 ? options.memory_mib * engine::kMib
                                                             : engine::GrantedMemory(),
                             .largest_message = options.max_message_mib * engine::kMib,
                             .messages = options.max_queued_mib * engine::kMib,
                             .working = options.max_working_mib * engine::kMib,
                             .layers = options.layer_memory_mib * engine::kMib});
}

engine::Engine::Options EngineOptions(const ServerOptions& options,
                                      const engine::MemoryPlan& memory, Observer& observer) {
  return {.threads = options.threads > 0 ? options.threads : engine::CpuBudget(),
          .max_working_bytes = memory.working,
          .max_message_bytes = memory.messages,
          .max_queue = options.max_queue,
          .max_batch_tokens = options.max_batch_tokens,
          .on_batch = [&observer](const auto& batch) { observer.OnBatch(batch); }};
}

rpc::OnCall OnCall(Observer& observer) {
  return [&observer](const rpc::CallReport& call) { observer.OnCall(call); };
}

rpc::RequestLimits Limits(const ServerOptions& options) {
  return {.max_message_bytes = options.max_message_mib * engine::kMib,
          .max_tokens = options.max_tokens};
}

std::vector<std::string> OwnServices() {
  return {rpc::AttentionServiceImpl::Name(), rpc::EncoderServiceImpl::Name(),
          rpc::LayerServiceImpl::Name()};
}

// Those that reflection does not know of by itself.
std::vector<std::string> ServiceNames(const ServerOptions& options) {
  std::vector<std::string> names = OwnServices();
  if (options.channelz) names.emplace_back("grpc.channelz.v1.Channelz");
  return names;
}

ops::TlsFiles TlsOf(const ServerOptions& options) {
  return {
      .certificate = options.tls_cert, .key = options.tls_key, .client_ca = options.tls_client_ca};
}

}  // namespace

Server::Server(const ServerOptions& options, const engine::MemoryPlan& memory,
               std::unique_ptr<engine::LayerStore> layers)
    : options_(options),
      memory_(memory),
      observer_([this] { return Levels(); }),
      stalls_(options.max_stall, [this](const std::string& peer) { observer_.OnStall(peer); }),
      layers_(std::move(layers)),
      engine_(EngineOptions(options, memory, observer_), layers_->packed()),
      context_{engine_, *layers_, Limits(options), memory.messages / 8, OnCall(observer_), stalls_},
      attention_service_(context_, calls_),
      encoder_service_(context_, calls_),
      layer_service_(*layers_, calls_, stalls_, OnCall(observer_)),
      reflection_(ServiceNames(options), stalls_) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  // Without a user of its own that stays, gRPC shuts its threads down with the last server and may
  // wait 10 s for one of them: as long as `docker stop` does before it kills.
  static const bool keep_grpc = (grpc_init(), true);
  static_cast<void>(keep_grpc);
  // Both are switches of the whole process, and harmless to set again.
  grpc::EnableDefaultHealthCheckService(true);
  if (options.channelz) grpc::channelz::experimental::InitChannelzService();
  const absl::StatusOr<engine::MemoryPlan> memory = PlanMemory(options);
  if (!memory.ok()) return memory.status();
  absl::StatusOr<std::unique_ptr<engine::LayerStore>> layers =
      engine::LayerStore::Open({.folder = options.layer_dir, .memory_bytes = memory->layers});
  if (!layers.ok()) return layers.status();
  std::unique_ptr<Server> server(new Server(options, *memory, *std::move(layers)));
  absl::Status status = server->Listen();
  if (status.ok()) status = server->ListenForMetrics();
  if (status.ok()) status = server->BeginServing();
  if (!status.ok()) return status;
  return server;
}

absl::Status Server::Listen() {
  if (absl::Status status = LoadPolicy(); !status.ok()) return status;
  grpc::ServerBuilder builder;
  LimitTransport(options_, memory_.transport, builder);
  builder.RegisterService(&attention_service_);
  builder.RegisterService(&encoder_service_);
  builder.RegisterService(&layer_service_);
  reflection_.Register(builder);
  const bool over_tcp = options_.port >= 0;
  const std::string wanted = ops::HostPort(options_.host, options_.port);
  if (over_tcp) {
    const auto credentials = TcpCredentials();
    if (!credentials.ok()) return credentials.status();
    builder.AddListeningPort(wanted, *credentials, &port_);
  }
  const auto start = [&] { grpc_ = builder.BuildAndStart(); };
  if (options_.unix_socket.empty()) {
    start();
  } else {
    auto claim = ops::UnixSocketClaim::Make(options_.unix_socket);
    if (!claim.ok()) return claim.status();
    unix_socket_ = *std::move(claim);
    unix_address_ = ops::UnixTarget(options_.unix_socket);
    builder.AddListeningPort(unix_address_, UnixCredentials());
    ops::WithMostFileMode(static_cast<mode_t>(options_.unix_socket_mode), start);
  }
  if (over_tcp && port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", wanted,
                     ": the port is in use, or the address is not one of this machine; choose "
                     "another --port (0 picks a free one) or --host"));
  }
  if (grpc_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", unix_address_, "; choose another --unix_socket"));
  }
  if (over_tcp) address_ = ops::HostPort(options_.host, port_);
  grpc_->GetHealthCheckService()->SetServingStatus("", false);  // not yet
  return absl::OkStatus();
}

absl::Status Server::LoadPolicy() {
  if (options_.policy.empty()) return absl::OkStatus();
  auto authorizer = ops::Authorizer::Create(
      options_.policy, [this](const ops::Policy::Call& call) { observer_.OnDenied(call); });
  if (!authorizer.ok()) return authorizer.status();
  authorizer_ = *std::move(authorizer);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Server::TcpCredentials() const {
  const ops::TlsFiles files = TlsOf(options_);
  if (files.empty()) return grpc::InsecureServerCredentials();
  if (absl::Status status = ops::CheckTlsFiles(files); !status.ok()) return status;
  std::shared_ptr<grpc::ServerCredentials> credentials = ops::TlsCredentials(files);
  if (authorizer_ != nullptr) credentials->SetAuthMetadataProcessor(authorizer_);
  return credentials;
}

// Plain text, which no other machine sees. gRPC's insecure credentials would ask no policy.
std::shared_ptr<grpc::ServerCredentials> Server::UnixCredentials() const {
  auto credentials = grpc::experimental::LocalServerCredentials(UDS);
  if (authorizer_ != nullptr) credentials->SetAuthMetadataProcessor(authorizer_);
  return credentials;
}

// Compiles what is likely to be called, and only then says that it is there.
absl::Status Server::BeginServing() {
  for (const int64_t head_dim : kUsualHeadWidths) {
    if (absl::Status status = engine_.CompileFor(head_dim); !status.ok()) return status;
  }
  grpc::HealthCheckServiceInterface& health = *grpc_->GetHealthCheckService();
  const auto on_health = [&health](const std::string& layer, bool serving) {
    health.SetServingStatus(absl::StrCat("layers/", layer), serving);
  };
  layer_watch_ = std::make_unique<LayerWatch>(engine_, *layers_, on_health);
  for (const std::string& service : OwnServices()) health.SetServingStatus(service, true);
  health.SetServingStatus("", true);
  trimmer_ = std::make_unique<ops::FreedMemoryTrimmer>(
      ops::FreedMemoryTrimmer::Options{.most_resident_bytes = memory_.total / 8 * 7,
                                       .activity = [this] { return calls_.activity(); },
                                       .let_go = [this] { engine_.TrimMemory(); }});
  ready_ = true;
  return absl::OkStatus();
}

absl::Status Server::Reload() {
  absl::Status status;
  if (const ops::TlsFiles files = TlsOf(options_); !files.empty()) {
    status = ops::CheckTlsFiles(files);
  }
  if (authorizer_ != nullptr) status.Update(authorizer_->Reload());
  return status;
}

absl::Status Server::ListenForMetrics() {
  if (options_.metrics_port < 0) return absl::OkStatus();
  auto http = ops::HttpServer::Start(options_.metrics_host, options_.metrics_port,
                                     {.metrics = [this] { return observer_.MetricsText(); },
                                      .ready = [this] { return ready_.load(); }},
                                     ops::HttpServer::Limits());
  if (!http.ok()) {
    return absl::UnavailableError(
        absl::StrCat(http.status().message(),
                     "; choose another --metrics_port (0 picks a free one) or --metrics_host"));
  }
  http_ = *std::move(http);
  metrics_address_ = ops::HostPort(options_.metrics_host, http_->port());
  return absl::OkStatus();
}

ops::Metrics::Levels Server::Levels() const {
  const engine::Scheduler::Load load = engine_.load();
  return {.waiting_calls = load.waiting_calls,
          .running_batches = load.running_batches,
          .message_bytes = load.message_bytes,
          .working_bytes = load.working_bytes,
          .flop_per_second = load.flop_per_second,
          .oldest_waits = load.oldest_waits,
          .resident_layers = layers_->packed().count(),
          .layer_bytes = layers_->packed().bytes(),
          .memory_budget_bytes = memory_.total,
          .compute_threads = engine_.threads()};
}

Server::~Server() { Stop().IgnoreError(); }

void Server::LeaveRotation() {
  ready_ = false;
  layer_watch_.reset();
  // Of all services and layers, and of those that are yet to be named.
  if (grpc_ != nullptr) grpc_->GetHealthCheckService()->SetServingStatus(false);
}

absl::Status Server::Stop() {
  if (grpc_ == nullptr) return absl::OkStatus();
  LeaveRotation();
  attention_service_.EndStreams();
  const bool drained = calls_.Drain(options_.drain);
  if (!drained) {
    engine_.Stop();
    // Until the tiles that have begun are through and the refusals have left.
    calls_.Drain(absl::Seconds(1));
  }
  // A moment lets the last answers leave, and those who were about to call again be told
  // UNAVAILABLE, which says what to do.
  absl::SleepFor(absl::Milliseconds(100));
  EndConnections(options_.port < 0 ? -1 : port_, options_.unix_socket);
  absl::SleepFor(absl::Milliseconds(100));
  // What is still open are health watches and reflection streams of peers that do not close.
  grpc_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  grpc_.reset();
  unix_socket_.reset();
  http_.reset();
  if (drained) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat("calls were still in flight after ",
                                                  absl::FormatDuration(options_.drain),
                                                  " (--drain_s) and were cut off"));
}

}  // namespace attention
