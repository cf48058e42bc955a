#ifndef ATTENTION_CLIENT_PARSE_MESSAGE_H_
#define ATTENTION_CLIENT_PARSE_MESSAGE_H_

#include <cstddef>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace attention::client {

// Above this protobuf's own parser lets the string of a `bytes` field grow as it comes, by doubling
// (kSafeStringSize in google/protobuf/parse_context.h): while it moves to its last place, the
// received bytes and two copies of them are in memory.
inline constexpr size_t kLargeMessageBytes = 50'000'000;

// Makes `message`, which is empty, of the bytes that gRPC received. As protobuf's own parser does,
// but that the fields of a large message that are `bytes` get their whole memory at once, and once
// it is known that so much was received.
//
// INTERNAL: they are no such message. `message` is then unspecified.
absl::Status ParseMessage(grpc::ByteBuffer& bytes, google::protobuf::Message& message);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_PARSE_MESSAGE_H_
