#ifndef ATTENTION_SERVER_RPC_SHARED_COMPUTE_CALL_INL_H_
#define ATTENTION_SERVER_RPC_SHARED_COMPUTE_CALL_INL_H_

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/messages/field_error.h"
#include "server/rpc/shared/compute_call.h"
#include "server/rpc/shared/set_duration.h"

// What ComputeCall does, for the doors that instantiate it.
namespace attention::rpc {

// What only the engine could tell lies in the numbers of `field` or in their count.
inline absl::Status AsFieldError(const absl::Status& status, absl::string_view field) {
  if (!absl::IsInvalidArgument(status)) return status;
  return FieldError(field, absl::StrCat("cannot be computed: ", status.message()));
}

template <typename Request, typename Response, typename Decoded>
absl::Status ComputeCall<Request, Response, Decoded>::Start(
    const ComputeContext& context, engine::SteadyClock::time_point deadline, Done done) {
  started_ = engine::SteadyClock::now();
  absl::StatusOr<Decoded> decoded = DecodeRequest(request_, context.limits, context.layers);
  if (!decoded.ok()) return decoded.status();
  decoded_ = *std::move(decoded);
  response_.set_request_id(request_.request_id());
  decode_ = absl::FromChrono(engine::SteadyClock::now() - started_);
  SetDuration(decode_, *response_.mutable_timing()->mutable_decode());

  auto job = std::make_shared<engine::Job>();
  job->call = &decoded_.call;
  // The results are in memory twice when they are sent: as a message and as its bytes.
  job->message_bytes = static_cast<int64_t>(request_.ByteSizeLong()) +
                       2 * static_cast<int64_t>(ResponseBytes(decoded_));
  job->deadline = deadline;
  job->prepare = [this] {
    MakeRoom(decoded_, response_);
    return absl::OkStatus();
  };
  job->done = [this, done = std::move(done)](const absl::Status& status,
                                             const engine::CallTiming& spent) mutable {
    done(Answer(status, spent));
  };
  job_ = std::move(job);
  absl::Status status = context.engine.Submit(job_);
  return status.ok() ? status : AsFieldError(status, MainField(decoded_));
}

template <typename Request, typename Response, typename Decoded>
absl::Status ComputeCall<Request, Response, Decoded>::Answer(const absl::Status& status,
                                                             const engine::CallTiming& spent) {
  timing_ = spent;
  if (!status.ok()) return AsFieldError(status, MainField(decoded_));
  FinishResults(decoded_, response_);
  v1::Timing& timing = *response_.mutable_timing();
  SetDuration(spent.queue, *timing.mutable_queue());
  SetDuration(spent.prepare, *timing.mutable_prepare());
  SetDuration(spent.compute, *timing.mutable_compute());
  timing.set_batch_calls(static_cast<int32_t>(spent.batch_calls));
  return absl::OkStatus();
}

template <typename Request, typename Response, typename Decoded>
void ComputeCall<Request, Response, Decoded>::Report(const ComputeContext& context,
                                                     absl::string_view method,
                                                     const absl::Status& status,
                                                     const grpc::ServerContextBase& rpc) const {
  if (!context.on_call) return;
  context.on_call(
      {.method = method,
       .status = status,
       .rpc = rpc,
       .request_id = ShownRequestId(request_.request_id()),
       .total = absl::FromChrono(engine::SteadyClock::now() - started_),
       .decode = decode_,
       .timing = timing_.batch_calls > 0 ? &timing_ : nullptr,
       .describe = [this] { return job_ == nullptr ? std::string() : DescribeCall(decoded_); }});
}

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_COMPUTE_CALL_INL_H_
