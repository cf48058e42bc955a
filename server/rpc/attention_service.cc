#include "server/rpc/attention_service.h"

#include <chrono>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/duration.pb.h"
#include "grpc/health/v1/health.pb.h"
#include "server/rpc/decode_encode.h"
#include "server/rpc/encode_response.h"
#include "server/rpc/field_error.h"
#include "server/rpc/grpc_status.h"

namespace attention::rpc {
namespace {

using SteadyClock = std::chrono::steady_clock;

void SetDuration(absl::Duration from, google::protobuf::Duration& to) {
  to.set_seconds(absl::IDivDuration(from, absl::Seconds(1), &from));
  to.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(from)));
}

// The field that most of a call's numbers come from.
absl::string_view MainField(const v1::ComputeAttentionRequest& /*request*/) { return "source"; }
absl::string_view MainField(const v1::EncodeRequest& request) {
  return request.has_embeddings() ? "embeddings" : "token_ids";
}

// What only the engine could tell lies in the numbers or in their count.
template <typename Request>
absl::Status AsFieldError(const absl::Status& status, const Request& request) {
  if (!absl::IsInvalidArgument(status)) return status;
  return FieldError(MainField(request), absl::StrCat("cannot be computed: ", status.message()));
}

// One call that the engine computes. Deletes itself when gRPC is done with it. `Decoded` is what
// DecodeRequest makes of a `Request`.
template <typename Request, typename Response, typename Decoded>
class ComputeCall final : public grpc::ServerUnaryReactor {
 public:
  ComputeCall(const Request& request, Response& response, CallsInFlight& calls)
      : request_(request), response_(response), calls_(calls), entered_(calls.Enter()) {}

  void Start(engine::Engine& engine, const RequestLimits& limits, engine::LayerStore& layers) {
    const grpc::Status refused =
        Guarded([&] { return ToGrpcStatus(Admit(engine, limits, layers)); });
    // Once admitted, the call may be over already and this object gone.
    if (!refused.ok()) Finish(refused);
  }

  void OnDone() override {
    if (entered_) calls_.Leave();
    delete this;
  }

 private:
  // Hands the call over to the engine. Where that fails, it does not know the call.
  absl::Status Admit(engine::Engine& engine, const RequestLimits& limits,
                     engine::LayerStore& layers) {
    if (!entered_) return ShuttingDown();
    const SteadyClock::time_point started = SteadyClock::now();
    absl::StatusOr<Decoded> decoded = DecodeRequest(request_, limits, layers);
    if (!decoded.ok()) return decoded.status();
    decoded_ = *std::move(decoded);
    if (absl::Status fits = engine.CheckFits(decoded_.call); !fits.ok()) {
      return AsFieldError(fits, request_);
    }
    response_.set_request_id(request_.request_id());
    SetDuration(absl::FromChrono(SteadyClock::now() - started),
                *response_.mutable_timing()->mutable_decode());
    engine.Submit(
        decoded_.call,
        [this] {
          MakeRoom(decoded_, response_);
          return absl::OkStatus();
        },
        [this](const absl::Status& status, const engine::CallTiming& spent) {
          // The last line: gRPC may delete this object from here on.
          Finish(Guarded([&] { return Answer(status, spent); }));
        });
    return absl::OkStatus();
  }

  grpc::Status Answer(const absl::Status& status, const engine::CallTiming& spent) {
    if (!status.ok()) return ToGrpcStatus(AsFieldError(status, request_));
    v1::Timing& timing = *response_.mutable_timing();
    SetDuration(spent.queue, *timing.mutable_queue());
    SetDuration(spent.prepare, *timing.mutable_encode());
    SetDuration(spent.compute, *timing.mutable_compute());
    return grpc::Status::OK;
  }

  const Request& request_;
  Response& response_;
  CallsInFlight& calls_;
  const bool entered_;
  Decoded decoded_;
};

}  // namespace

AttentionServiceImpl::AttentionServiceImpl(engine::Engine& engine, engine::LayerStore& layers,
                                           const RequestLimits& limits, CallsInFlight& calls)
    : engine_(engine), layers_(layers), limits_(limits), calls_(calls) {
  // Reflection describes what is linked in, and gRPC's health service brings no description along.
  grpc::health::v1::HealthCheckRequest::descriptor();
}

grpc::ServerUnaryReactor* AttentionServiceImpl::ComputeAttention(
    grpc::CallbackServerContext* /*context*/, const v1::ComputeAttentionRequest* request,
    v1::ComputeAttentionResponse* response) {
  auto* const call =
      new ComputeCall<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse, DecodedRequest>(
          *request, *response, calls_);
  call->Start(engine_, limits_, layers_);
  return call;
}

grpc::ServerUnaryReactor* AttentionServiceImpl::Encode(grpc::CallbackServerContext* /*context*/,
                                                       const v1::EncodeRequest* request,
                                                       v1::EncodeResponse* response) {
  auto* const call = new ComputeCall<v1::EncodeRequest, v1::EncodeResponse, DecodedEncode>(
      *request, *response, calls_);
  call->Start(engine_, limits_, layers_);
  return call;
}

}  // namespace attention::rpc
