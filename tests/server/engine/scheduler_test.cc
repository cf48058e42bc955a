// Which calls run together, in which order, and which are refused; no call computes anything here.
#include "server/engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/engine/retry_after.h"

namespace attention::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr double kLargeFlop = 10 * Scheduler::kSmallFlop;

struct JobSpec {
  std::string name;
  double flop = 1e6;
  int64_t tokens = 8;
  std::string key = "layer";
  int64_t message_bytes = 0;
  double working_bytes = 0;
};

class SchedulerTest : public testing::Test {
 protected:
  void Start(const Scheduler::Options& options) {
    scheduler_ = std::make_unique<Scheduler>(options);
  }

  std::shared_ptr<Job> Make(const JobSpec& spec) {
    auto job = std::make_shared<Job>();
    job->cost = {spec.flop, spec.tokens};
    job->batch_key = spec.key;
    job->message_bytes = spec.message_bytes;
    job->working_bytes = spec.working_bytes;
    names_.emplace_back(job, spec.name);
    return job;
  }
  std::shared_ptr<Job> Add(const JobSpec& spec) {
    const std::shared_ptr<Job> job = Make(spec);
    EXPECT_TRUE(scheduler_->Add(job).ok());
    return job;
  }

  std::vector<std::string> Names(const Scheduler::Batch& batch) const {
    std::vector<std::string> names;
    for (const auto& job : batch.jobs) {
      for (const auto& [of, name] : names_) {
        if (of == job) names.push_back(name);
      }
    }
    return names;
  }
  Scheduler::Batch NextSmall() {
    return scheduler_->NextSmall([](const Job&) { return true; });
  }

  // Lets the scheduler see that 1e9 operations take 50 ms or a little more.
  void MeasureRate() {
    Add({.name = "measured", .flop = 1e9});
    ASSERT_TRUE(scheduler_->TakeSlot());
    const Scheduler::Batch batch = scheduler_->Next();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    scheduler_->Finish(batch, batch.flop);
    ASSERT_TRUE(scheduler_->Next().empty());
    ASSERT_GT(scheduler_->load().flop_per_second, 0);
  }

  std::unique_ptr<Scheduler> scheduler_ = std::make_unique<Scheduler>(Scheduler::Options());
  std::vector<std::pair<std::shared_ptr<Job>, std::string>> names_;
};

TEST_F(SchedulerTest, CallsOfOneKeyRunTogetherTheOldestFirst) {
  Add({.name = "a1"});
  Add({.name = "b1", .key = "other"});
  Add({.name = "a2"});
  Add({.name = "alone", .key = ""});
  Add({.name = "alone too", .key = ""});
  Add({.name = "b2", .key = "other"});
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("a1", "a2"));
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("b1", "b2"));
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("alone"));
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("alone too"));
  EXPECT_EQ(scheduler_->load().waiting_calls, 0);
  EXPECT_EQ(scheduler_->load().waiting_flop, 0);
}

TEST_F(SchedulerTest, ABatchStaysWithinItsTokensAndOperations) {
  Start({.max_batch_tokens = 20, .max_batch_flop = 5e6});
  for (const char* const name : {"1", "2", "3"}) Add({.name = name});
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("1", "2")) << "3 x 8 tokens are too many";
  Add({.name = "4", .flop = 4.5e6, .tokens = 1});
  Add({.name = "5", .tokens = 30});
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("3")) << "too many operations, then tokens";
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("4"));
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("5")) << "one alone may be larger";
}

TEST_F(SchedulerTest, WithBatchingOffEachCallRunsAlone) {
  Start({.max_batch_tokens = 0});
  Add({.name = "1"});
  Add({.name = "2"});
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("1"));
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("2"));
}

TEST_F(SchedulerTest, SmallCallsDoNotWaitForASlot) {
  Add({.name = "large", .flop = kLargeFlop});
  Add({.name = "large too", .flop = kLargeFlop, .key = ""});
  ASSERT_TRUE(scheduler_->TakeSlot());
  EXPECT_FALSE(scheduler_->TakeSlot()) << "there is one slot";
  EXPECT_FALSE(scheduler_->Next().IsSmall());
  EXPECT_FALSE(scheduler_->HasSmall());
  EXPECT_THAT(Names(NextSmall()), IsEmpty()) << "a large one waits for its slot";
  Add({.name = "small"});
  Add({.name = "like it"});
  Add({.name = "another", .key = "other"});
  EXPECT_TRUE(scheduler_->HasSmall());
  EXPECT_THAT(Names(NextSmall()), ElementsAre("small", "like it"));
  EXPECT_THAT(Names(scheduler_->NextSmall([](const Job&) { return false; })), IsEmpty());
  EXPECT_THAT(Names(NextSmall()), ElementsAre("another"));
  EXPECT_FALSE(scheduler_->HasSmall());
}

TEST_F(SchedulerTest, ACallWaitsForTheMemoryOfThoseThatRun) {
  Start({.slots = 2, .max_working_bytes = 100});
  Add({.name = "1", .key = "", .working_bytes = 60});
  Add({.name = "2", .key = "", .working_bytes = 60});
  ASSERT_TRUE(scheduler_->TakeSlot());
  const Scheduler::Batch first = scheduler_->Next();
  EXPECT_FALSE(scheduler_->TakeSlot());
  EXPECT_THAT(Names(NextSmall()), IsEmpty());
  scheduler_->Finish(first, first.flop);
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("2"));
}

// Once the limit did not hold for those that joined the first batch of an idle server.
TEST_F(SchedulerTest, ABatchStaysWithinTheMemory) {
  Start({.max_working_bytes = 100});
  for (const char* const name : {"1", "2", "3"}) Add({.name = name, .working_bytes = 40});
  EXPECT_THAT(Names(scheduler_->Next()), ElementsAre("1", "2"));
}

// A call of an hour that is given up after a second says nothing about how fast the server is.
TEST_F(SchedulerTest, CancelledWorkDoesNotCountAsDone) {
  MeasureRate();
  const double rate = scheduler_->load().flop_per_second;
  Add({.name = "given up", .flop = 1e15});
  ASSERT_TRUE(scheduler_->TakeSlot());
  scheduler_->Finish(scheduler_->Next(), 0);
  EXPECT_EQ(scheduler_->load().flop_per_second, rate);
}

TEST_F(SchedulerTest, AWithdrawnCallLeavesTheQueue) {
  const auto gone = Add({.name = "gone"});
  Add({.name = "stays"});
  EXPECT_TRUE(scheduler_->Withdraw(*gone));
  EXPECT_FALSE(scheduler_->Withdraw(*gone));
  const Scheduler::Batch batch = scheduler_->Next();
  EXPECT_THAT(Names(batch), ElementsAre("stays"));
  EXPECT_FALSE(scheduler_->Withdraw(*batch.jobs[0])) << "it runs";
}

TEST_F(SchedulerTest, MessagesOfCallsInFlightAreBounded) {
  Start({.max_message_bytes = 100});
  auto first = Add({.name = "1", .message_bytes = 70});
  const absl::Status refused = scheduler_->Add(Make({.name = "2", .message_bytes = 40}));
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--max_queued_mib"));
  EXPECT_TRUE(RetryAfter(refused).has_value());
  // Its memory is free when the last who knows the call has let go of it.
  EXPECT_TRUE(scheduler_->Withdraw(*first));
  names_.clear();
  first = nullptr;
  Add({.name = "3", .message_bytes = 40});
  EXPECT_EQ(scheduler_->load().message_bytes, 40);
}

TEST_F(SchedulerTest, ACallIsRefusedWhoseTurnWouldComeTooLate) {
  Start({.max_queue = absl::Milliseconds(100)});
  EXPECT_TRUE(scheduler_->Add(Make({.name = "any", .flop = 1e12})).ok()) << "nothing is known yet";
  ASSERT_TRUE(scheduler_->Withdraw(*names_[0].first));
  MeasureRate();
  absl::Status refused;
  int taken = 0;
  for (; refused.ok() && taken < 10; ++taken) {
    refused = scheduler_->Add(Make({.name = "large", .flop = 1e9, .key = ""}));
  }
  EXPECT_LE(taken, 4) << "each takes 50 ms or more";
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--max_queue_ms"));
  ASSERT_TRUE(RetryAfter(refused).has_value());
  EXPECT_GT(*RetryAfter(refused), absl::Milliseconds(20));
  EXPECT_LT(*RetryAfter(refused), absl::Seconds(5));
  Add({.name = "small, which need not wait for them"});
}

TEST_F(SchedulerTest, ACallIsRefusedThatWouldMissItsDeadline) {
  MeasureRate();
  const auto call = Make({.name = "call", .flop = 1e9});
  call->deadline = SteadyClock::now() + std::chrono::milliseconds(20);
  const absl::Status refused = scheduler_->Add(call);
  EXPECT_EQ(refused.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("its deadline is in 0.0"));
  call->deadline = SteadyClock::now() + std::chrono::seconds(20);
  EXPECT_TRUE(scheduler_->Add(call).ok());
}

}  // namespace
}  // namespace attention::engine
