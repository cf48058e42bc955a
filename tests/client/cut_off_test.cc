// Answers that a proxy, or a server that dies, cuts off: what gRPC then reports is told as
// UNAVAILABLE, and what only computes is called again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/attention_client.h"
#include "client/call_status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_server.h"
#include "tests/client/raw_server.h"

namespace attention::client {
namespace {

using testing::HasSubstr;
using testing::Not;
using Answer = RawServer::Answer;
using Received = RawServer::Received;
using Then = RawServer::Then;

// The request_id comes back, as everywhere.
v1::ComputeAttentionResponse Echo(const Received& received) {
  v1::ComputeAttentionRequest request;
  EXPECT_TRUE(request.ParseFromString(received.message));
  v1::ComputeAttentionResponse response;
  response.set_request_id(request.request_id());
  return response;
}

Answer Whole(const Received& r) {
  return {absl::StrCat(frames::Headers(r.stream), frames::Message(r.stream, Echo(r)),
                       frames::Trailers(r.stream, {{"grpc-status", "0"}}))};
}

// A way in which an answer is cut off: what comes of it behind the headers, and the end.
struct Cut {
  std::string name;
  bool has_headers;
  std::function<std::string(const Received&)> body;
  Then then = Then::kStay;

  // On a stream that has its headers, or has yet to get them.
  Answer Of(const Received& r, bool begins) const {
    return {absl::StrCat(begins && has_headers ? frames::Headers(r.stream) : "", body(r)), then};
  }
};

void PrintTo(const Cut& cut, std::ostream* os) { *os << cut.name; }

// More was announced than comes.
std::string PartOfMessage(const Received& r) {
  v1::ComputeAttentionResponse response = Echo(r);
  response.mutable_output()->set_data(std::string(100, 'x'));
  return frames::Message(r.stream, response, 50);
}

std::vector<Cut> Cuts() {
  using Part = std::function<std::string(const Received&)>;
  const auto nothing = [](const Received&) { return std::string(); };
  const auto message = [](const Received& r) { return frames::Message(r.stream, Echo(r)); };
  std::vector<Cut> cuts = {
      {"ClosedBeforeHeaders", false, nothing, Then::kClose},
      {"ConnectionResetBeforeHeaders", false, nothing, Then::kReset},
      {"StreamResetBeforeHeaders", false, [](auto& r) { return frames::Reset(r.stream, 2); }}};
  for (const auto& [when, body] : {std::pair<const char*, Part>{"AfterHeaders", nothing},
                                   {"InAMessage", PartOfMessage},
                                   {"AfterTheMessage", message}}) {
    const auto add = [&, part = body](const std::string& name, const Part& end) {
      cuts.push_back({name, true, [part, end](const Received& r) { return part(r) + end(r); }});
    };
    cuts.push_back({absl::StrCat("Closed", when), true, body, Then::kClose});
    cuts.push_back({absl::StrCat("ConnectionReset", when), true, body, Then::kReset});
    for (const uint32_t code : {0u, 2u, 8u}) {
      add(absl::StrCat("StreamReset", code, when),
          [code](const Received& r) { return frames::Reset(r.stream, code); });
    }
    add(absl::StrCat("EndedWithoutTrailers", when),
        [](const Received& r) { return frames::EndOfData(r.stream); });
    add(absl::StrCat("TrailersWithoutStatus", when), [](const Received& r) {
      return frames::Trailers(r.stream, {{"x", "y"}});
    });
  }
  return cuts;
}

AttentionClient ClientWith(const RawServer& server, int attempts) {
  return *AttentionClient::Create(
      {.target = server.target(),
       .timeout = absl::Seconds(30),
       .retries = {.attempts = attempts, .first_wait = absl::Milliseconds(1)},
       .health_checks = false});
}

v1::ComputeAttentionRequest CallWithId(const std::string& id) {
  v1::ComputeAttentionRequest request;
  request.set_request_id(id);
  return request;
}

class AnswerCutOff : public testing::TestWithParam<Cut> {};

TEST_P(AnswerCutOff, IsUnavailableAndTheCallIsMadeAgain) {
  RawServer always([](const Received& r) { return GetParam().Of(r, /*begins=*/true); });
  const absl::Status status = ClientWith(always, 2).ComputeAttention({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(always.messages(), 2);

  RawServer twice([](const Received& r) {
    return r.number < 2 ? GetParam().Of(r, /*begins=*/true) : Whole(r);
  });
  const auto response = ClientWith(twice, 4).ComputeAttention(CallWithId("mine"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->request_id(), "mine");
  EXPECT_EQ(twice.messages(), 3);
}

TEST_P(AnswerCutOff, OfAChangeIsNotMadeAgainAndSaysWhatMayHaveHappened) {
  RawServer server([](const Received& r) {  // requests of three kinds
    const Received empty = {
        .number = r.number, .connection = r.connection, .stream = r.stream, .message = ""};
    return GetParam().Of(empty, /*begins=*/true);
  });
  using Client = const AttentionClient&;
  const std::vector<std::function<absl::Status(Client)>> changes = {
      [](Client client) { return client.CreateLayer({}).status(); },
      [](Client client) { return client.DeleteLayer("a"); },
      [](Client client) {
        return client.UploadLayer({}, [] { return absl::string_view(); }).status();
      }};
  int calls = 0;
  for (const auto& change : changes) {
    const absl::Status status = change(ClientWith(server, 4));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("may or may not have been changed"));
    EXPECT_EQ(server.messages(), ++calls);
  }
}

// Answers the calls of streams, but for those that are cut off.
class StreamAnswerer {
 public:
  // Says how a call is cut off that is the `count`th of that id, from 1 on; null: it is answered.
  using Choose = std::function<const Cut*(const std::string& id, int count)>;

  explicit StreamAnswerer(Choose choose) : choose_(std::move(choose)) {}

  Answer operator()(const Received& r) {
    const absl::MutexLock lock(&mutex_);
    const std::pair<int, uint32_t> stream = {r.connection, r.stream};
    if (over_.count(stream) > 0) return {};  // it was on its way when the stream was cut off
    received_.push_back(Echo(r).request_id());
    const std::string& id = received_.back();
    const bool begins = begun_.insert(stream).second;
    const auto count = std::count(received_.begin(), received_.end(), id);
    if (const Cut* const cut = choose_(id, static_cast<int>(count))) {
      over_.insert(stream);
      return cut->Of(r, begins);
    }
    return {
        absl::StrCat(begins ? frames::Headers(r.stream) : "", frames::Message(r.stream, Echo(r)))};
  }

  std::vector<std::string> received() {
    const absl::MutexLock lock(&mutex_);
    return received_;
  }

 private:
  const Choose choose_;
  absl::Mutex mutex_;
  std::set<std::pair<int, uint32_t>> begun_ ABSL_GUARDED_BY(mutex_), over_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> received_ ABSL_GUARDED_BY(mutex_);
};

TEST_P(AnswerCutOff, OnAStreamIsOfTheCallsWithoutAnAnswerWhichAreMadeAgain) {
  const Cut cut = GetParam();
  StreamAnswerer answerer([&](const std::string& id, int count) {
    return id == "second" && count == 1 ? &cut : nullptr;
  });
  RawServer server([&](const Received& r) { return answerer(r); });
  const AttentionClient client = ClientWith(server, 4);
  AttentionStream stream = client.StreamAttention(absl::Seconds(30));
  for (const std::string id : {"first", "second", "third"}) {
    EXPECT_TRUE(stream.Write(CallWithId(id)));
    const auto response = stream.Read();
    ASSERT_TRUE(response.has_value()) << stream.Finish();
    EXPECT_EQ(response->request_id(), id);
  }
  const std::vector<std::string> again = {"first", "second", "second", "third"};
  const std::vector<std::string> once = {"first", "second", "third"};
  // A message that was all sent may have come, or been lost with the connection.
  const bool may_have_come = absl::EndsWith(GetParam().name, "AfterTheMessage");
  EXPECT_THAT(answerer.received(), testing::AnyOf(again, may_have_come ? once : again));
}

// Whoever writes and whoever reads find the same breaks, each at its own time.
TEST(AStreamThatIsCutOffOften, AnswersEachCallOnce) {
  constexpr int kCalls = 1000;
  const std::vector<Cut> cuts = Cuts();
  StreamAnswerer answerer([&](const std::string& id, int count) -> const Cut* {
    const size_t number = std::stoul(id);
    return number % 40 == 17 && count == 1 ? &cuts[number / 40 % cuts.size()] : nullptr;
  });
  RawServer server([&](const Received& r) { return answerer(r); });
  const AttentionClient client = ClientWith(server, 4);
  AttentionStream stream = client.StreamAttention(absl::Seconds(60));
  std::thread writer([&] {
    for (int i = 0; i < kCalls; ++i) EXPECT_TRUE(stream.Write(CallWithId(absl::StrCat(i))));
  });
  std::multiset<std::string> answered;
  while (answered.size() < kCalls) {
    const auto response = stream.Read();
    if (!response.has_value()) break;
    answered.insert(response->request_id());
  }
  writer.join();
  EXPECT_EQ(answered.size(), size_t{kCalls});
  EXPECT_EQ(std::set<std::string>(answered.begin(), answered.end()).size(), size_t{kCalls});
}

// One thread writes more than a server takes unread, meets the break itself, and then reads.
TEST(AStreamThatIsCutOff, IsMendedByWhoeverWritesToIt) {
  const Cut closed = {"", true, [](const Received&) { return std::string(); }, Then::kClose};
  StreamAnswerer answerer([&](const std::string& id, int count) {
    return id == "1" && count == 1 ? &closed : nullptr;
  });
  RawServer server([&](const Received& r) { return answerer(r); });
  const AttentionClient client = ClientWith(server, 4);
  AttentionStream stream = client.StreamAttention(absl::Seconds(60));
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(stream.Write(CallWithId(absl::StrCat(i))));
  std::set<std::string> answered;
  while (answered.size() < 200) {
    const auto response = stream.Read();
    if (!response.has_value()) break;
    answered.insert(response->request_id());
  }
  EXPECT_EQ(answered.size(), 200u);
}

INSTANTIATE_TEST_SUITE_P(Each, AnswerCutOff, testing::ValuesIn(Cuts()),
                         [](const auto& tested) { return tested.param.name; });

TEST(AnswerWithoutStatus, IsUnavailable) {
  RawServer server([](const Received& r) { return Answer{frames::HeadersThatEnd(r.stream, {})}; });
  EXPECT_EQ(ClientWith(server, 1).ComputeAttention({}).status().code(),
            absl::StatusCode::kUnavailable);
}

// Of a server that fails so: its own words, and no second call.
TEST(StatusOfTheServer, StaysAsItIs) {
  google::rpc::Status details;
  details.add_details()->PackFrom(google::rpc::ErrorInfo());
  const std::vector<grpc::Status> own = {
      {grpc::StatusCode::UNKNOWN, ""},
      {grpc::StatusCode::UNKNOWN, "I lost a stream"},
      {grpc::StatusCode::UNKNOWN, "Stream removed", details.SerializeAsString()},
      {grpc::StatusCode::INTERNAL, "Received RST_STREAM with error code 1"},
      {grpc::StatusCode::INTERNAL, "Received RST_STREAM with error code 2",
       details.SerializeAsString()}};
  for (const grpc::Status& status : own) {
    int calls = 0;
    FakeServer server([&](const auto&, auto&) { return ++calls, status; });
    const absl::Status got = ClientOf(server.target()).ComputeAttention({}).status();
    EXPECT_EQ(static_cast<int>(got.code()), status.error_code());
    EXPECT_EQ(got.message(), status.error_message());
    EXPECT_EQ(calls, 1);
  }
  RawServer server([](const Received& r) {
    return Answer{frames::HeadersThatEnd(r.stream, {{"grpc-status", "2"}})};
  });
  EXPECT_EQ(ClientWith(server, 4).ComputeAttention({}).status(), absl::UnknownError(""));
  EXPECT_EQ(server.messages(), 1);
}

// What is wrong with the frames, or more than a quota lets through, would be so again.
TEST(ResetOfOtherKinds, IsNoCutOff) {
  for (const uint32_t code : {1u, 5u, 11u}) {
    RawServer server([code](const Received& r) { return Answer{frames::Reset(r.stream, code)}; });
    EXPECT_NE(ClientWith(server, 4).ComputeAttention({}).status().code(),
              absl::StatusCode::kUnavailable);
    EXPECT_EQ(server.messages(), 1) << code;
  }
}

TEST(IsCutOff, KnowsTheWordsOfNewerReleases) {
  for (const char* const words : {"Stream removed", "No status received",
                                  "Stream removed (Data frame with END_STREAM flag received)"}) {
    EXPECT_TRUE(IsCutOff({grpc::StatusCode::UNKNOWN, words})) << words;
    EXPECT_FALSE(IsCutOff({grpc::StatusCode::INTERNAL, words})) << words;
  }
  for (const char* const words :
       {"Received RST_STREAM with error code 0", "Received RST_STREAM with error code 2",
        "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))"}) {
    EXPECT_TRUE(IsCutOff({grpc::StatusCode::INTERNAL, words})) << words;
    EXPECT_FALSE(IsCutOff({grpc::StatusCode::CANCELLED, words})) << words;
  }
  EXPECT_TRUE(IsCutOff({grpc::StatusCode::CANCELLED, "Received RST_STREAM with error code 8"}));
  EXPECT_FALSE(IsCutOff({grpc::StatusCode::CANCELLED, "CANCELLED"})) << "by the caller";
  EXPECT_FALSE(IsCutOff({grpc::StatusCode::INTERNAL, "Received RST_STREAM with error code 12"}));
  EXPECT_FALSE(IsCutOff(grpc::Status::OK));
}

TEST(WhatWasNeverSent, SaysNothingOfWhatMayHaveHappened) {
  const NoServer nobody;
  const absl::Status status = ClientOf(nobody.target()).CreateLayer({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("may or may not")));
}

}  // namespace
}  // namespace attention::client
