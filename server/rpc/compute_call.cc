#include "server/rpc/compute_call.h"

#include "absl/strings/str_cat.h"
#include "server/rpc/field_error.h"
#include "server/rpc/set_duration.h"

namespace attention::rpc {
namespace {

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

}  // namespace

template <typename Request, typename Response, typename Decoded>
absl::Status ComputeCall<Request, Response, Decoded>::Start(
    const ComputeContext& context, engine::SteadyClock::time_point deadline, Done done) {
  const engine::SteadyClock::time_point started = engine::SteadyClock::now();
  absl::StatusOr<Decoded> decoded = DecodeRequest(request_, context.limits, context.layers);
  if (!decoded.ok()) return decoded.status();
  decoded_ = *std::move(decoded);
  response_.set_request_id(request_.request_id());
  SetDuration(absl::FromChrono(engine::SteadyClock::now() - started),
              *response_.mutable_timing()->mutable_decode());

  auto job = std::make_shared<engine::Job>();
  job->call = &decoded_.call;
  job->message_bytes =
      static_cast<int64_t>(request_.ByteSizeLong()) + static_cast<int64_t>(ResponseBytes(decoded_));
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
  return status.ok() ? status : AsFieldError(status, request_);
}

template <typename Request, typename Response, typename Decoded>
absl::Status ComputeCall<Request, Response, Decoded>::Answer(const absl::Status& status,
                                                             const engine::CallTiming& spent) {
  if (!status.ok()) return AsFieldError(status, request_);
  v1::Timing& timing = *response_.mutable_timing();
  SetDuration(spent.queue, *timing.mutable_queue());
  SetDuration(spent.prepare, *timing.mutable_encode());
  SetDuration(spent.compute, *timing.mutable_compute());
  timing.set_batch_calls(static_cast<int32_t>(spent.batch_calls));
  return absl::OkStatus();
}

template class ComputeCall<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse,
                           DecodedRequest>;
template class ComputeCall<v1::EncodeRequest, v1::EncodeResponse, DecodedEncode>;

}  // namespace attention::rpc
