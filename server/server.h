#ifndef ATTENTION_SERVER_SERVER_H_
#define ATTENTION_SERVER_SERVER_H_

#include <grpcpp/server.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/engine.h"
#include "server/host/memory_budget.h"
#include "server/layer_watch.h"
#include "server/models/layer_store.h"
#include "server/observer.h"
#include "server/ops/authorizer.h"
#include "server/ops/freed_memory.h"
#include "server/ops/http_server.h"
#include "server/ops/metrics.h"
#include "server/ops/unix_socket.h"
#include "server/options.h"
#include "server/rpc/attention/attention_service.h"
#include "server/rpc/encoder/encoder_service.h"
#include "server/rpc/layers/layer_service.h"
#include "server/rpc/shared/calls_in_flight.h"
#include "server/rpc/shared/reflection_service.h"
#include "server/rpc/shared/stall_guard.h"

namespace attention {

// A running attention server: attention.v1's AttentionService, EncoderService and LayerService,
// gRPC's health service (Check and Watch), server reflection (v1 and v1alpha) and, if asked for,
// Channelz on one TCP port, on a Unix socket or on both. Health knows the server as a whole (""),
// each service by its full name and each stored layer as "layers/NAME". All methods are for one
// thread at a time.
//
// Construction: layers, engine, services, gRPC server. Shutdown is the reverse: the gRPC server
// stops calling the service, the service its engine.
class Server {
 public:
  // Reads the layers, compiles what their calls run, listens and serves. UNAVAILABLE where it
  // cannot listen, e.g. because the port is in use; fails as engine::PlanMemory, LayerStore::Open,
  // ops::CheckTlsFiles, ops::Authorizer::Create and ops::UnixSocketClaim::Make.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);

  // Stops, unless Stop did.
  ~Server();

  // Where metrics and health are served over HTTP, "HOST:PORT", or empty.
  const std::string& metrics_address() const { return metrics_address_; }
  // "HOST:PORT" as it can be called; the port is the real one where 0 was asked for. Empty where
  // the server does not listen over TCP.
  const std::string& address() const { return address_; }
  // "unix:PATH" as it can be called, or empty.
  const std::string& unix_address() const { return unix_address_; }
  // Compute threads.
  int threads() const { return engine_.threads(); }
  // What may take how much memory.
  const engine::MemoryPlan& memory() const { return memory_; }

  // What waits and runs at this moment.
  engine::Scheduler::Load load() const { return engine_.load(); }

  // The stored layers.
  engine::LayerStore& layers() { return *layers_; }

  // Reads the policy again, and looks whether the certificates (which are read again when they
  // change) can be used. Fails as Start, and then goes on with what it had.
  absl::Status Reload();

  // Health turns NOT_SERVING; all else goes on. For those who watch it, before Stop.
  void LeaveRotation();

  // LeaveRotation, and new calls are refused with UNAVAILABLE; calls in flight finish,
  // for up to options.drain; what is left then is cut off between two tiles and answered with
  // UNAVAILABLE; then all connections close. So it takes about a second more than options.drain at
  // most. DEADLINE_EXCEEDED where calls had to be cut off.
  absl::Status Stop();

 private:
  Server(const ServerOptions& options, const engine::MemoryPlan& memory,
         std::unique_ptr<engine::LayerStore> layers);
  absl::Status Listen();
  absl::Status LoadPolicy();
  absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TcpCredentials() const;
  std::shared_ptr<grpc::ServerCredentials> UnixCredentials() const;
  absl::Status BeginServing();
  absl::Status ListenForMetrics();
  ops::Metrics::Levels Levels() const;

  const ServerOptions options_;
  const engine::MemoryPlan memory_;
  int port_ = 0;
  std::string address_, unix_address_, metrics_address_;
  std::atomic<bool> ready_ = false;
  Observer observer_;
  rpc::CallsInFlight calls_;
  rpc::StallGuard stalls_;
  std::unique_ptr<engine::LayerStore> layers_;
  engine::Engine engine_;
  const rpc::ComputeContext context_;
  rpc::AttentionServiceImpl attention_service_;
  rpc::EncoderServiceImpl encoder_service_;
  rpc::LayerServiceImpl layer_service_;
  rpc::ReflectionServices reflection_;
  std::shared_ptr<ops::Authorizer> authorizer_;        // null: everybody may call everything
  std::unique_ptr<ops::UnixSocketClaim> unix_socket_;  // null: none; outlives who listens there
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<LayerWatch> layer_watch_;
  std::unique_ptr<ops::HttpServer> http_;
  std::unique_ptr<ops::FreedMemoryTrimmer> trimmer_;
};

}  // namespace attention

#endif  // ATTENTION_SERVER_SERVER_H_
