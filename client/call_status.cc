#include "client/call_status.h"

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace attention::client {
namespace {

constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) details.Clear();
  details.set_code(status.error_code());
  details.set_message(status.error_message());
  return FromGoogleStatus(details);
}

absl::Status FromGoogleStatus(const google::rpc::Status& status) {
  absl::Status result(static_cast<absl::StatusCode>(status.code()), status.message());
  if (result.ok()) return result;
  for (const google::protobuf::Any& detail : status.details()) {
    // Serialised messages of one type, one behind the other, are protobuf's own way to merge them.
    absl::Cord payload = result.GetPayload(detail.type_url()).value_or(absl::Cord());
    payload.Append(detail.value());
    result.SetPayload(detail.type_url(), payload);
  }
  return result;
}

absl::Status WithHint(const absl::Status& status, const std::string& hint) {
  absl::Status result(status.code(), absl::StrCat(status.message(), "; ", hint));
  status.ForEachPayload([&result](absl::string_view url, const absl::Cord& payload) {
    result.SetPayload(url, payload);
  });
  return result;
}

std::vector<google::rpc::BadRequest::FieldViolation> FieldViolations(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kBadRequestUrl);
  google::rpc::BadRequest bad_request;
  if (!payload.has_value() || !bad_request.ParseFromString(std::string(*payload))) return {};
  return {bad_request.field_violations().begin(), bad_request.field_violations().end()};
}

}  // namespace attention::client
