#include "server/rpc/attention_service.h"

#include <chrono>
#include <exception>
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

// What only the engine could tell lies in the numbers or in their count.
absl::Status AsFieldError(const absl::Status& status) {
  if (!absl::IsInvalidArgument(status)) return status;
  return FieldError("source", absl::StrCat("cannot be computed: ", status.message()));
}

// The answer that `step` gives. What it throws becomes one, with a message so short that it takes
// no memory.
template <typename Step>
grpc::Status Guarded(Step step) noexcept {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "out of memory");
  } catch (const std::exception&) {
    return grpc::Status(grpc::StatusCode::INTERNAL, "internal error");
  }
}

// One ComputeAttention call. Deletes itself when gRPC is done with it.
class ComputeAttentionCall final : public grpc::ServerUnaryReactor {
 public:
  ComputeAttentionCall(const v1::ComputeAttentionRequest& request,
                       v1::ComputeAttentionResponse& response, CallsInFlight& calls)
      : request_(request), response_(response), calls_(calls), entered_(calls.Enter()) {}

  void Start(engine::Engine& engine, const RequestLimits& limits) {
    const grpc::Status refused = Guarded([&] { return ToGrpcStatus(Admit(engine, limits)); });
    // Once admitted, the call may be over already and this object gone.
    if (!refused.ok()) Finish(refused);
  }

  void OnDone() override {
    if (entered_) calls_.Leave();
    delete this;
  }

 private:
  // Hands the call over to the engine. Where that fails, it does not know the call.
  absl::Status Admit(engine::Engine& engine, const RequestLimits& limits) {
    if (!entered_) {
      return absl::UnavailableError("the server is shutting down; call another one");
    }
    const SteadyClock::time_point started = SteadyClock::now();
    absl::StatusOr<DecodedRequest> decoded = DecodeRequest(request_, limits);
    if (!decoded.ok()) return decoded.status();
    decoded_ = *std::move(decoded);
    if (absl::Status fits = engine.CheckFits(decoded_.call); !fits.ok()) return AsFieldError(fits);
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
    if (!status.ok()) return ToGrpcStatus(AsFieldError(status));
    v1::Timing& timing = *response_.mutable_timing();
    SetDuration(spent.queue, *timing.mutable_queue());
    SetDuration(spent.prepare, *timing.mutable_encode());
    SetDuration(spent.compute, *timing.mutable_compute());
    return grpc::Status::OK;
  }

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
