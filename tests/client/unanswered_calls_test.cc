#include "client/unanswered_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace attention::client {
namespace {

v1::ComputeAttentionRequest WithId(const std::string& id) {
  v1::ComputeAttentionRequest request;
  request.set_request_id(id);
  return request;
}

// The request_id that the caller sees of an answer that comes with `id`.
std::string Answered(UnansweredCalls& calls, const std::string& id) {
  v1::ComputeAttentionResponse response;
  response.set_request_id(id);
  calls.Answer(response);
  return response.request_id();
}

TEST(UnansweredCalls, AreKeptInTheirOrderUntilTheyAreAnswered) {
  UnansweredCalls calls;
  for (const char* const id : {"a", "b", "c"}) EXPECT_EQ(calls.Add(WithId(id))->request_id(), id);
  EXPECT_EQ(Answered(calls, "b"), "b");
  EXPECT_EQ(Answered(calls, "none of them"), "none of them");
  ASSERT_EQ(calls.requests().size(), 2u);
  EXPECT_EQ(calls.requests()[0]->request_id(), "a");
  EXPECT_EQ(calls.requests()[1]->request_id(), "c");
  EXPECT_EQ(Answered(calls, "c") + Answered(calls, "a"), "ca");
  EXPECT_TRUE(calls.empty());
}

TEST(UnansweredCalls, GoWithIdsThatDifferAndAreAnsweredWithTheirOwn) {
  UnansweredCalls calls;
  const std::string longest(256, 'x');
  const std::vector<std::string> own = {"", "", "a", "a", "a#2", "#0", longest, longest};
  std::vector<std::string> sent;
  for (const std::string& id : own) sent.push_back(calls.Add(WithId(id))->request_id());
  EXPECT_EQ(std::set<std::string>(sent.begin(), sent.end()).size(), own.size());
  EXPECT_EQ(sent[2], "a");
  EXPECT_EQ(sent[6], longest);
  for (size_t i = own.size(); i-- > 0;) {
    EXPECT_LE(sent[i].size(), 256u);
    EXPECT_EQ(Answered(calls, sent[i]), own[i]);
  }
  EXPECT_TRUE(calls.empty());
}

TEST(UnansweredCalls, WithIdsThatAreTooLongAreRefusedWithoutThem) {
  UnansweredCalls calls;
  const std::string too_long(257, 'x');
  EXPECT_EQ(calls.Add(WithId(too_long))->request_id(), too_long);
  calls.Add(WithId(too_long));
  calls.Add(WithId("a"));
  EXPECT_EQ(Answered(calls, "") + Answered(calls, ""), "");
  EXPECT_EQ(Answered(calls, ""), "") << "an answer to nothing";
  ASSERT_EQ(calls.requests().size(), 1u);
  EXPECT_EQ(calls.requests()[0]->request_id(), "a");
}

}  // namespace
}  // namespace attention::client
