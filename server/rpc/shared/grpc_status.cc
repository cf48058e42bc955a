#include "server/rpc/shared/grpc_status.h"

#include <optional>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "server/engine/retry_after.h"
#include "server/rpc/shared/set_duration.h"

namespace attention::rpc {

namespace {

// Layers, files and places for uploads become free at a time that nobody knows.
constexpr absl::Duration kUsualRetryAfter = absl::Seconds(1);

std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return std::nullopt;
  return engine::RetryAfter(status).value_or(kUsualRetryAfter);
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status details;
  details.set_code(status.raw_code());
  details.set_message(std::string(status.message()));
  status.ForEachPayload([&](absl::string_view type_url, const absl::Cord& payload) {
    if (type_url == engine::kRetryAfterPayload) return;
    google::protobuf::Any& detail = *details.add_details();
    detail.set_type_url(std::string(type_url));
    detail.set_value(std::string(payload));
  });
  google::rpc::ErrorInfo info;
  info.set_reason(absl::StatusCodeToString(status.code()));
  info.set_domain("attention.v1");
  details.add_details()->PackFrom(info);
  if (const std::optional<absl::Duration> after = RetryAfter(status)) {
    google::rpc::RetryInfo retry;
    SetDuration(*after, *retry.mutable_retry_delay());
    details.add_details()->PackFrom(retry);
  }
  return details;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()),
                      std::string(status.message()), ToRpcStatus(status).SerializeAsString());
}

grpc::Status AnswerWith(const absl::Status& status, grpc::ServerContextBase& rpc) {
  if (const std::optional<absl::Duration> after = RetryAfter(status)) {
    rpc.AddTrailingMetadata("grpc-retry-pushback-ms",
                            absl::StrCat(absl::ToInt64Milliseconds(*after)));
  }
  return ToGrpcStatus(status);
}

std::chrono::steady_clock::time_point SteadyDeadline(const grpc::ServerContextBase& rpc) {
  using SteadyClock = std::chrono::steady_clock;
  using SystemClock = std::chrono::system_clock;
  const SystemClock::duration left = rpc.deadline() - SystemClock::now();
  constexpr std::chrono::hours kForEver(24 * 365);
  return left > kForEver ? SteadyClock::time_point::max() : SteadyClock::now() + left;
}

}  // namespace attention::rpc
