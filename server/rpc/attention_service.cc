#include "server/rpc/attention_service.h"

#include <chrono>
#include <memory>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/duration.pb.h"
#include "grpc/health/v1/health.pb.h"
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

// One ComputeAttention call. Deletes itself when gRPC is done with it.
class ComputeAttentionCall final : public grpc::ServerUnaryReactor {
 public:
  ComputeAttentionCall(const v1::ComputeAttentionRequest& request,
                       v1::ComputeAttentionResponse& response, CallsInFlight& calls)
      : request_(request), response_(response), calls_(calls), entered_(calls.Enter()) {}

  void Start(engine::Engine& engine, const RequestLimits& limits) {
    if (!entered_) {
      return Refuse(absl::UnavailableError("the server is shutting down; call another one"));
    }
    const SteadyClock::time_point started = SteadyClock::now();
    absl::StatusOr<DecodedRequest> decoded = DecodeRequest(request_, limits);
    if (!decoded.ok()) return Refuse(decoded.status());
    decoded_ = *std::move(decoded);
    const SteadyClock::time_point was_decoded = SteadyClock::now();
    try {
      MakeRoom(decoded_, response_);
    } catch (const std::bad_alloc&) {
      return Refuse(absl::ResourceExhaustedError("out of memory for the results; try again later"));
    }
    response_.set_request_id(request_.request_id());
    v1::Timing& timing = *response_.mutable_timing();
    SetDuration(absl::FromChrono(was_decoded - started), *timing.mutable_decode());
    SetDuration(absl::FromChrono(SteadyClock::now() - was_decoded), *timing.mutable_encode());
    engine.Submit(decoded_.call, [this](const absl::Status& status, engine::CallTiming spent) {
      if (absl::IsInvalidArgument(status)) {  // only computing showed it; it lies in the numbers
        return Refuse(FieldError("source", absl::StrCat("cannot be computed: ", status.message())));
      }
      if (!status.ok()) return Refuse(status);
      SetDuration(spent.queue, *response_.mutable_timing()->mutable_queue());
      SetDuration(spent.compute, *response_.mutable_timing()->mutable_compute());
      Finish(grpc::Status::OK);  // the last line: gRPC may delete this object from here on
    });
  }

  void OnDone() override {
    if (entered_) calls_.Leave();
    delete this;
  }

 private:
  void Refuse(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

  const v1::ComputeAttentionRequest& request_;
  v1::ComputeAttentionResponse& response_;
  CallsInFlight& calls_;
  const bool entered_;
  DecodedRequest decoded_;
};

}  // namespace

bool CallsInFlight::Enter() {
  absl::MutexLock lock(&mutex_);
  if (draining_) return false;
  ++count_;
  return true;
}

void CallsInFlight::Leave() {
  absl::MutexLock lock(&mutex_);
  --count_;
}

bool CallsInFlight::Drain(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  return mutex_.AwaitWithTimeout(absl::Condition(this, &CallsInFlight::None), limit);
}

AttentionServiceImpl::AttentionServiceImpl(engine::Engine& engine, const RequestLimits& limits,
                                           CallsInFlight& calls)
    : engine_(engine), limits_(limits), calls_(calls) {
  // Reflection describes what is linked in, and gRPC's health service brings no description along.
  grpc::health::v1::HealthCheckRequest::descriptor();
}

grpc::ServerUnaryReactor* AttentionServiceImpl::ComputeAttention(
    grpc::CallbackServerContext* /*context*/, const v1::ComputeAttentionRequest* request,
    v1::ComputeAttentionResponse* response) {
  auto* const call = new ComputeAttentionCall(*request, *response, calls_);
  call->Start(engine_, limits_);
  return call;
}

}  // namespace attention::rpc
