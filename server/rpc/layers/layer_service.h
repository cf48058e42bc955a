#ifndef ATTENTION_SERVER_RPC_LAYERS_LAYER_SERVICE_H_
#define ATTENTION_SERVER_RPC_LAYERS_LAYER_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>

#include <atomic>
#include <string>
#include <utility>

#include "attention/v1/layer_service.grpc.pb.h"
#include "server/models/layer_store.h"
#include "server/rpc/shared/call_report.h"
#include "server/rpc/shared/calls_in_flight.h"
#include "server/rpc/shared/stall_guard.h"

namespace attention::rpc {

// The door for stored layers. Its functions read and write files and take as long as that takes; so
// unlike those of AttentionServiceImpl they have threads of gRPC's own to wait in. Thread-safe. The
// references must outlive the gRPC server that it is registered with.
class LayerServiceImpl final : public v1::LayerService::Service {
 public:
  // Uploads and creations at a time; each holds a thread and, in memory, its file.
  static constexpr int kMostWriters = 8;

  LayerServiceImpl(engine::LayerStore& layers, CallsInFlight& calls, StallGuard& stalls,
                   OnCall on_call)
      : layers_(layers), calls_(calls), stalls_(stalls), on_call_(std::move(on_call)) {}

  grpc::Status UploadLayer(grpc::ServerContext* context,
                           grpc::ServerReader<v1::UploadLayerRequest>* reader,
                           v1::Layer* response) override;
  grpc::Status CreateLayer(grpc::ServerContext* context, const v1::CreateLayerRequest* request,
                           v1::Layer* response) override;
  grpc::Status GetLayer(grpc::ServerContext* context, const v1::GetLayerRequest* request,
                        v1::Layer* response) override;
  grpc::Status ListLayers(grpc::ServerContext* context, const v1::ListLayersRequest* request,
                          v1::ListLayersResponse* response) override;
  grpc::Status DeleteLayer(grpc::ServerContext* context, const v1::DeleteLayerRequest* request,
                           google::protobuf::Empty* response) override;

  // As health and reflection know the service: "attention.v1.LayerService".
  static std::string Name() { return v1::LayerService::service_full_name(); }

 private:
  template <typename Step>
  grpc::Status Answer(const char* method, grpc::ServerContext& rpc, Step step);
  template <typename Step>
  absl::Status AsWriter(Step step);

  engine::LayerStore& layers_;
  CallsInFlight& calls_;
  StallGuard& stalls_;
  const OnCall on_call_;
  std::atomic<int> writers_ = 0;
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_LAYERS_LAYER_SERVICE_H_
