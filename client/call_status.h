#ifndef ATTENTION_CLIENT_CALL_STATUS_H_
#define ATTENTION_CLIENT_CALL_STATUS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

// Turns the status of a failed call into an absl::Status. Pure functions, safe from any thread.
namespace attention::client {

// Returns whether the call's answer was cut off on its way, so that the stream ended without a
// status from the server. gRPC reports a connection that breaks as UNAVAILABLE. It reports other
// codes if the connection to a proxy stays open and the proxy has lost the server:
//
//   code       gRPC's words                             what ends the stream
//   UNKNOWN    Stream removed                           a last frame of data; HAProxy
//   UNKNOWN    Error in HTTP transport completing ...   the same, while the caller still writes
//   UNKNOWN    No status received                       headers or trailers without grpc-status
//   INTERNAL   Received RST_STREAM with error code 2    INTERNAL_ERROR; nginx, nghttpx
//   INTERNAL   Received RST_STREAM with error code 0    NO_ERROR, after a last frame; nginx
//   CANCELLED  Received RST_STREAM with error code 8    CANCEL; HAProxy, while the caller still
//                                                       writes; its own cancelling reads otherwise
//
// (Measured with gRPC 1.51.1; up to 1.85 these words are part of the message.) Other codes of
// RST_STREAM mean that the call was wrong or too large. A status with google.rpc details, which
// this server always sends, comes from the server, whatever its message is.
bool IsCutOff(const grpc::Status& status);

// Returns the same code, which has the same number in both libraries, and the same message; but
// UNAVAILABLE if IsCutOff. Each google.rpc detail of the trailer `grpc-status-details-bin` becomes
// a payload whose key is the detail's type URL, as in "type.googleapis.com/google.rpc.BadRequest",
// and whose bytes are the serialised detail. A trailer that is not a google.rpc.Status is ignored.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The same for a status that is part of a message, as in the answers of a stream.
absl::Status FromGoogleStatus(const google::rpc::Status& status);

// Returns the same code and payloads, with `hint` appended to the message.
absl::Status WithHint(const absl::Status& status, const std::string& hint);

// Returns the fields of the request that the server refused, in the server's order; empty if it
// named none.
std::vector<google::rpc::BadRequest::FieldViolation> FieldViolations(const absl::Status& status);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CALL_STATUS_H_
