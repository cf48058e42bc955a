#include "client/retries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "client/attention_client.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_server.h"

namespace attention::client {
namespace {

absl::Status ComeAgainIn(absl::Duration delay) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(absl::IDivDuration(delay, absl::Seconds(1), &delay));
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(delay)));
  absl::Status status = absl::ResourceExhaustedError("busy");
  status.SetPayload("type.googleapis.com/google.rpc.RetryInfo",
                    absl::Cord(info.SerializeAsString()));
  return status;
}

TEST(Retries, WaitAsLongAsTheServerSays) {
  Retries retries({});
  EXPECT_EQ(retries.NextWait(ComeAgainIn(absl::Milliseconds(70)), std::nullopt, 1),
            absl::Milliseconds(70));
  EXPECT_EQ(retries.NextWait(ComeAgainIn(absl::Milliseconds(70)), 30, 1), absl::Milliseconds(30))
      << "the trailer counts more";
  EXPECT_EQ(retries.NextWait(absl::UnavailableError(""), 0, 1), absl::ZeroDuration());
  EXPECT_EQ(retries.NextWait(absl::UnavailableError(""), -1, 1), std::nullopt) << "not at all";
}

TEST(Retries, WaitLongerEachTimeAndByChance) {
  Retries retries({.attempts = 100,
                   .first_wait = absl::Milliseconds(100),
                   .most_wait = absl::Milliseconds(350),
                   .budget = 1000});
  absl::Duration longest[4];
  for (int i = 0; i < 100; ++i) {
    for (int failures = 1; failures <= 3; ++failures) {
      const auto wait = retries.NextWait(absl::UnavailableError(""), std::nullopt, failures);
      ASSERT_TRUE(wait.has_value());
      longest[failures] = std::max(longest[failures], *wait);
    }
  }
  EXPECT_LE(longest[1], absl::Milliseconds(100));
  EXPECT_LE(longest[2], absl::Milliseconds(200));
  EXPECT_LE(longest[3], absl::Milliseconds(350));
  EXPECT_GT(longest[3], absl::Milliseconds(200)) << "by chance once in 10^24 runs not";
}

TEST(Retries, AreOnlyForWhatTheServerHasNotComputed) {
  Retries retries({});
  EXPECT_EQ(retries.NextWait(absl::InvalidArgumentError(""), std::nullopt, 1), std::nullopt);
  EXPECT_EQ(retries.NextWait(absl::InternalError(""), 5, 1), std::nullopt);
  EXPECT_EQ(retries.NextWait(absl::DeadlineExceededError(""), std::nullopt, 1), std::nullopt);
  EXPECT_EQ(retries.NextWait(absl::ResourceExhaustedError("too large"), std::nullopt, 1),
            std::nullopt);
}

TEST(Retries, EndWithTheAttemptsAndWithTheBudget) {
  Retries retries({.attempts = 3, .budget = 10, .refill = 1});
  EXPECT_TRUE(retries.NextWait(absl::UnavailableError(""), 1, 2).has_value());
  EXPECT_FALSE(retries.NextWait(absl::UnavailableError(""), 1, 3).has_value());
  EXPECT_TRUE(retries.NextWait(absl::UnavailableError(""), 1, 1).has_value());
  EXPECT_TRUE(retries.NextWait(absl::UnavailableError(""), 1, 1).has_value());
  EXPECT_FALSE(retries.NextWait(absl::UnavailableError(""), 1, 1).has_value()) << "half is gone";
  for (int i = 0; i < 3; ++i) retries.CountSuccess();
  EXPECT_TRUE(retries.NextWait(absl::UnavailableError(""), 1, 1).has_value());
}

TEST(Retries, HedgesComeFromTheSameBudget) {
  Retries retries({.budget = 6, .refill = 1});
  EXPECT_TRUE(retries.TakeHedge());
  EXPECT_TRUE(retries.TakeHedge());
  EXPECT_FALSE(retries.TakeHedge()) << "half would be gone";
  EXPECT_FALSE(retries.NextWait(absl::UnavailableError(""), 1, 1).has_value());
}

// A server that refuses the first `refusals` calls.
class Refusing {
 public:
  explicit Refusing(int refusals, const absl::Status& status)
      : server_([this, refusals, status](const auto&, auto&) {
          if (++calls_ > refusals) return grpc::Status::OK;
          google::rpc::Status details;
          details.set_code(static_cast<int>(status.code()));
          status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
            google::protobuf::Any& any = *details.add_details();
            any.set_type_url(std::string(url));
            any.set_value(std::string(payload));
          });
          return grpc::Status(static_cast<grpc::StatusCode>(status.code()), "refused",
                              details.SerializeAsString());
        }) {}

  absl::Status Call(const RetryOptions& retries, absl::Duration timeout = absl::Seconds(20)) {
    const auto client = AttentionClient::Create(
        {.target = server_.target(), .timeout = timeout, .retries = retries});
    v1::ComputeAttentionRequest request;
    // Beyond what gRPC itself would try again.
    request.mutable_tokens()->mutable_tokens()->set_data(std::string(1 << 20, 'x'));
    return client->ComputeAttention(request).status();
  }
  int calls() const { return calls_; }

 private:
  std::atomic<int> calls_ = 0;
  FakeServer server_;
};

TEST(AttentionClientRetries, ACallIsMadeAgainUntilItIsAnswered) {
  Refusing unavailable(3, absl::UnavailableError(""));
  EXPECT_TRUE(unavailable.Call({.first_wait = absl::Milliseconds(1)}).ok());
  EXPECT_EQ(unavailable.calls(), 4);
  Refusing busy(2, ComeAgainIn(absl::Milliseconds(20)));
  const absl::Time begun = absl::Now();
  EXPECT_TRUE(busy.Call({}).ok());
  EXPECT_GE(absl::Now() - begun, absl::Milliseconds(40));
}

TEST(AttentionClientRetries, AreNotMadeWhereTheyCannotHelp) {
  Refusing wrong(1, absl::InvalidArgumentError(""));
  EXPECT_EQ(wrong.Call({}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(wrong.calls(), 1);
  Refusing once(1, absl::UnavailableError(""));
  EXPECT_EQ(once.Call({.attempts = 1}).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(once.calls(), 1);
  Refusing later(1, ComeAgainIn(absl::Seconds(30)));
  EXPECT_EQ(later.Call({}, absl::Seconds(10)).code(), absl::StatusCode::kResourceExhausted)
      << "the timeout would have passed";
  EXPECT_EQ(later.calls(), 1);
}

}  // namespace
}  // namespace attention::client
