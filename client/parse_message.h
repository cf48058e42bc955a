#ifndef ATTENTION_CLIENT_PARSE_MESSAGE_H_
#define ATTENTION_CLIENT_PARSE_MESSAGE_H_

#include <cstddef>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace attention::client {

// Above this size protobuf's own parser lets the string of a `bytes` field grow by doubling while
// it reads (kSafeStringSize in google/protobuf/parse_context.h). When the string moves for the last
// time, the received bytes and two copies of them are in memory.
inline constexpr size_t kLargeMessageBytes = 50'000'000;

// Parses the bytes that gRPC received into `message`, which is empty. It does what protobuf's own
// parser does, except that `bytes` fields of a large message get all their memory at once, after it
// is known that this number of bytes was received.
//
// INTERNAL if the bytes are not such a message; `message` is then unspecified.
absl::Status ParseMessage(grpc::ByteBuffer& bytes, google::protobuf::Message& message);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_PARSE_MESSAGE_H_
