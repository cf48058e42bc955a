#include "server/rpc/compute_call.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/decode_fields.h"
#include "server/rpc/field_error.h"
#include "server/rpc/set_duration.h"

namespace attention::rpc {
namespace {

std::string LayerName(const std::shared_ptr<const engine::StoredLayer>& layer) {
  return layer == nullptr ? "" : absl::StrCat("layer ", layer->name(), "/", layer->version(), ", ");
}

// The field that most of a call's numbers come from.
absl::string_view MainField(const v1::ComputeAttentionRequest& /*request*/) { return "source"; }
absl::string_view MainField(const v1::EncodeRequest& request) {
  return request.has_embeddings() ? "embeddings" : "token_ids";
}

std::string DescribeCall(const DecodedRequest& decoded) {
  const engine::CallShape& s = decoded.call.shape;
  return absl::StrCat(LayerName(decoded.call.layer), "batch ", s.batch, ", q_len ", s.q_len,
                      ", kv_len ", s.kv_len, ", heads ", s.num_heads, "/", s.num_kv_heads,
                      ", head_dim ", s.head_dim);
}
std::string DescribeCall(const DecodedEncode& decoded) {
  return absl::StrCat(LayerName(decoded.call.layer), "batch ", decoded.call.lens.size(),
                      ", tokens ", decoded.call.tokens());
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
  return status.ok() ? status : AsFieldError(status, request_);
}

template <typename Request, typename Response, typename Decoded>
absl::Status ComputeCall<Request, Response, Decoded>::Answer(const absl::Status& status,
                                                             const engine::CallTiming& spent) {
  timing_ = spent;
  if (!status.ok()) return AsFieldError(status, request_);
  FinishResults(decoded_, response_);
  v1::Timing& timing = *response_.mutable_timing();
  SetDuration(spent.queue, *timing.mutable_queue());
  SetDuration(spent.prepare, *timing.mutable_encode());
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

template class ComputeCall<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse,
                           DecodedRequest>;
template class ComputeCall<v1::EncodeRequest, v1::EncodeResponse, DecodedEncode>;

}  // namespace attention::rpc
