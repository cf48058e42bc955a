#include "client/parse_message.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "attention/v1/attention_service.pb.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

// As gRPC receives it: in pieces.
grpc::ByteBuffer Received(absl::string_view bytes) {
  constexpr size_t kPiece = 1'000'003;
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const absl::string_view piece = bytes.substr(at, kPiece);
    slices.emplace_back(piece.data(), piece.size());
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

// A response with something of each kind, beside `bytes` bytes of output.
v1::ComputeAttentionResponse ResponseOf(size_t bytes) {
  v1::ComputeAttentionResponse response;
  std::string data(bytes, '\0');
  for (size_t i = 0; i < bytes; i += 4096) data[i] = static_cast<char>(i >> 12);
  response.set_request_id("seven");
  response.mutable_output()->set_data_type(v1::DATA_TYPE_BOOL);
  response.mutable_output()->add_shape(static_cast<int64_t>(bytes));
  response.mutable_output()->set_data(std::move(data));
  response.mutable_log_sum_exp()->add_float_values(0.5f);
  response.mutable_log_sum_exp()->add_float_values(-2);
  response.mutable_top_keys()->mutable_indices()->set_data("1234");
  response.mutable_timing()->mutable_compute()->set_nanos(5);
  google::rpc::BadRequest details;
  details.add_field_violations()->set_field("tokens");
  response.mutable_error()->add_details()->PackFrom(details);
  response.mutable_error()->add_details()->PackFrom(response.timing());
  return response;
}

TEST(ParseMessage, MakesLargeAndSmallMessagesOfTheirBytes) {
  for (const size_t bytes : {size_t{100}, kLargeMessageBytes + 1000}) {
    const std::string sent = ResponseOf(bytes).SerializeAsString();
    grpc::ByteBuffer received = Received(sent);
    v1::ComputeAttentionResponse response;
    ASSERT_TRUE(ParseMessage(received, response).ok());
    EXPECT_EQ(response.error().details_size(), 2);
    EXPECT_TRUE(response.SerializeAsString() == sent) << bytes << " bytes of output";
  }
}

TEST(ParseMessage, GivesLargeBytesNoMoreMemoryThanTheyTake) {
  constexpr size_t kBytes = kLargeMessageBytes + 1000;
  grpc::ByteBuffer received = Received(ResponseOf(kBytes).SerializeAsString());
  v1::ComputeAttentionResponse response;
  ASSERT_TRUE(ParseMessage(received, response).ok());
  EXPECT_LT(response.output().data().capacity(), kBytes + 1000);
}

TEST(ParseMessage, RefusesBytesThatAreNoMessage) {
  const std::string whole = ResponseOf(kLargeMessageBytes + 1000).SerializeAsString();
  const auto code_of = [](absl::string_view bytes) {
    grpc::ByteBuffer received = Received(bytes);
    v1::ComputeAttentionResponse response;
    return ParseMessage(received, response).code();
  };
  EXPECT_EQ(code_of("no message"), absl::StatusCode::kInternal);
  EXPECT_EQ(code_of(absl::string_view(whole).substr(0, whole.size() - 1)),
            absl::StatusCode::kInternal);
  // A tensor whose bytes would be 2 GiB, in a message that has some 50 MB.
  std::string lying(kLargeMessageBytes + 1000, '\0');
  const int field = v1::ComputeAttentionResponse::kOutputFieldNumber;
  const std::string start = {
      static_cast<char>(field << 3 | 2), '\xff', '\xff', '\xff', '\xff', '\x07'};
  std::copy(start.begin(), start.end(), lying.begin());
  EXPECT_EQ(code_of(lying), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace attention::client
