#include "client/parse_message.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "client/call_status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"

namespace attention::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

bool MergeFrom(CodedInputStream& input, Message& message);

bool ReadMessage(const FieldDescriptor& field, CodedInputStream& input, Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const auto limit = input.ReadLengthAndPushLimit();
  Message& below = field.is_repeated() ? *reflection.AddMessage(&message, &field)
                                       : *reflection.MutableMessage(&message, &field);
  return input.IncrementRecursionDepth() && MergeFrom(input, below) &&
         input.DecrementRecursionDepthAndPopLimit(limit);
}

bool ReadBytes(const FieldDescriptor& field, CodedInputStream& input, Message& message) {
  int length = 0;
  if (!input.ReadVarintSizeAsInt(&length) || length > input.BytesUntilLimit()) return false;
  std::string bytes(static_cast<size_t>(length), '\0');
  if (!input.ReadRaw(bytes.data(), length)) return false;
  message.GetReflection()->SetString(&message, &field, std::move(bytes));
  return true;
}

// Parses up to the limit. Fields that are messages or `bytes` are parsed here, `bytes` in one
// piece; all others are left to protobuf.
bool MergeFrom(CodedInputStream& input, Message& message) {
  std::string others;  // the other fields, as they were received
  {
    google::protobuf::io::StringOutputStream stream(&others);
    google::protobuf::io::CodedOutputStream output(&stream);
    while (const uint32_t tag = input.ReadTag()) {
      const FieldDescriptor* const field =
          message.GetDescriptor()->FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      const bool has_length =
          WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
      bool read;
      if (field != nullptr && has_length && !field->is_map() &&
          field->type() == FieldDescriptor::TYPE_MESSAGE) {
        read = ReadMessage(*field, input, message);
      } else if (field != nullptr && has_length && !field->is_repeated() &&
                 field->type() == FieldDescriptor::TYPE_BYTES) {
        read = ReadBytes(*field, input, message);
      } else {
        read = WireFormatLite::SkipField(&input, tag, &output);
      }
      if (!read) return false;
    }
  }
  return input.ConsumedEntireMessage() && message.MergeFromString(others);
}

}  // namespace

absl::Status ParseMessage(grpc::ByteBuffer& bytes, Message& message) {
  grpc::ProtoBufferReader reader(&bytes);
  if (!reader.status().ok()) return FromGrpcStatus(reader.status());
  bool parsed = false;
  if (bytes.Length() <= kLargeMessageBytes) {
    parsed = message.ParseFromZeroCopyStream(&reader);
  } else {
    CodedInputStream input(&reader);
    input.PushLimit(static_cast<int>(bytes.Length()));
    parsed = MergeFrom(input, message);
  }
  return parsed ? absl::OkStatus() : absl::InternalError("the answer cannot be parsed");
}

}  // namespace attention::client
