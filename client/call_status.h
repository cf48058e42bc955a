#ifndef ATTENTION_CLIENT_CALL_STATUS_H_
#define ATTENTION_CLIENT_CALL_STATUS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

// How a failed call reads as an absl::Status. Pure functions, safe from any thread.
namespace attention::client {

// The same code (the two libraries number them alike) and the same message. Each google.rpc detail
// of the trailer `grpc-status-details-bin` becomes a payload whose key is the detail's type URL, as
// in "type.googleapis.com/google.rpc.BadRequest", and whose bytes are the serialised detail. A
// trailer that is no google.rpc.Status adds nothing.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The same of a status that is part of a message, as streams have it.
absl::Status FromGoogleStatus(const google::rpc::Status& status);

// The same code and payloads with `hint` after the message.
absl::Status WithHint(const absl::Status& status, const std::string& hint);

// Which fields of the request the server refused, in its order; empty where it named none.
std::vector<google::rpc::BadRequest::FieldViolation> FieldViolations(const absl::Status& status);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CALL_STATUS_H_
