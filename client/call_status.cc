#include "client/call_status.h"

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace attention::client {
namespace {

constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";

// Newer releases of gRPC put these words into brackets, after other words.
bool EndsWithResetOf(absl::string_view words, absl::string_view http2_code) {
  while (absl::ConsumeSuffix(&words, ")")) {
  }
  return absl::ConsumeSuffix(&words, http2_code) &&
         absl::EndsWith(words, "Received RST_STREAM with error code ");
}

}  // namespace

bool IsCutOff(const grpc::Status& status) {
  if (!status.error_details().empty()) return false;
  const std::string& words = status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::UNKNOWN:
      return words == "Stream removed" || absl::StartsWith(words, "Stream removed (") ||
             words == "No status received" ||
             absl::StartsWith(words, "Error in HTTP transport completing operation");
    case grpc::StatusCode::INTERNAL:
      return EndsWithResetOf(words, "0") || EndsWithResetOf(words, "2");
    case grpc::StatusCode::CANCELLED:
      return EndsWithResetOf(words, "8");
    default:
      return false;
  }
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (IsCutOff(status)) {
    return absl::UnavailableError(
        absl::StrCat("the answer was cut off on its way: ", status.error_message()));
  }
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
    // To concatenate serialised messages of one type is protobuf's own way to merge them.
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
