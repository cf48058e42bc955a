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

// Whether the call's answer was cut off on its way: the stream ended, and with it no status of the
// server's. gRPC reports a connection that breaks as UNAVAILABLE, but other codes where the
// connection to a proxy stays and the proxy has lost the server:
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
// RST_STREAM say that something was wrong with the call, or too much. A status with google.rpc
// details, which this server always sends, is the server's own, whatever its words are.
bool IsCutOff(const grpc::Status& status);

// The same code (the two libraries number them alike) and the same message; but UNAVAILABLE where
// IsCutOff. Each google.rpc detail of the trailer `grpc-status-details-bin` becomes a payload whose
// key is the detail's type URL, as in "type.googleapis.com/google.rpc.BadRequest", and whose bytes
// are the serialised detail. A trailer that is no google.rpc.Status adds nothing.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The same of a status that is part of a message, as streams have it.
absl::Status FromGoogleStatus(const google::rpc::Status& status);

// The same code and payloads with `hint` after the message.
absl::Status WithHint(const absl::Status& status, const std::string& hint);

// Which fields of the request the server refused, in its order; empty where it named none.
std::vector<google::rpc::BadRequest::FieldViolation> FieldViolations(const absl::Status& status);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CALL_STATUS_H_
