#ifndef ATTENTION_CLIENT_LOAD_LOAD_RESULT_H_
#define ATTENTION_CLIENT_LOAD_LOAD_RESULT_H_

#include <grpcpp/support/status.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attention/v1/attention_service.pb.h"
#include "client/load/latency_histogram.h"

namespace attention::client {

using SteadyTime = std::chrono::steady_clock::time_point;

// What is meant by a call of a load test.
enum class Intent { kAnswer, kCancel, kBeRefused };

// How one call ended.
struct CallEnd {
  Intent intent = Intent::kAnswer;
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  // When it was to begin: of an open loop earlier than it did where that lags.
  SteadyTime intended = {};
  SteadyTime ended = {};
  int64_t tokens = 0;
  int retries = 0;        // that it took
  bool is_wrong = false;  // its bytes are others than when it was made alone
  std::optional<v1::Timing> timing = std::nullopt;  // the server's, of an answer that was read
};

// What a load test found.
struct LoadResult {
  // The test; what came before and after it is in no rate.
  absl::Duration lasted;
  int64_t answers = 0;  // that came in it, and to how many tokens
  int64_t answered_tokens = 0;

  // What follows is of the calls that were to begin in it, whenever they ended.
  LatencyHistogram latency;         // of those that were answered
  LatencyHistogram queue, compute;  // on the server, of those whose answers were read
  LatencyHistogram refusal;         // of those that ended with RESOURCE_EXHAUSTED
  int64_t batch_calls = 0;  // over those that were read, how many there were in each one's batch
  std::map<std::string, int64_t> by_code;  // of calls that were to be answered: "OK": 1000
  int64_t wrong = 0;
  int64_t retries = 0;    // calls that were made again, each time
  int64_t cancelled = 0;  // those that were to be
  int64_t refused = 0;    // those that were to be, and were
  int64_t not_made = 0;   // an open loop had too many in flight
  // The texts of calls that ended as they should not have, and how many did: those that were to be
  // answered, but for RESOURCE_EXHAUSTED, those that were to be refused or cancelled, and those
  // that were not made.
  std::map<std::string, int64_t> failures;

  struct Second {
    int64_t calls = 0;         // that ended in it, with whatever code
    LatencyHistogram latency;  // of the answered
  };
  std::vector<Second> seconds;  // from its start on, by when calls ended

  // The server's process, where it was watched: in the test.
  absl::Duration server_cpu;
  int64_t server_resident_bytes = 0;  // the most that was seen

  absl::Time made;  // when it was all over

  int64_t answered() const { return latency.count(); }
  double AnsweredPerSecond() const { return PerSecond(answers); }
  double TokensPerSecond() const { return PerSecond(answered_tokens); }

 private:
  double PerSecond(int64_t count) const;  // 0 where no time passed
};

// What a load test found within some time, for those who watch it.
struct LoadProgress {
  int64_t answered = 0;
  LatencyHistogram latency;  // of those
  int64_t refused = 0;       // with RESOURCE_EXHAUSTED
  int64_t failed = 0;        // as LoadResult::failures
};

// Gathers how calls end in a test from `start` to `end`. Thread-safe. The lock guards what was
// gathered; no other lock is taken under it.
class LoadRecorder {
 public:
  LoadRecorder(SteadyTime start, SteadyTime end) : start_(start), end_(end) {}

  void Add(const CallEnd& end);
  void CountNotMade(SteadyTime intended);

  // What was added since it was last asked for, that of the warm-up included.
  LoadProgress TakeProgress();

  // After the last Add.
  LoadResult Take();

 private:
  void CountProgress(const CallEnd& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SteadyTime start_, end_;
  absl::Mutex mutex_;
  LoadResult result_ ABSL_GUARDED_BY(mutex_);
  LoadProgress progress_ ABSL_GUARDED_BY(mutex_);
};

// The canonical name: "RESOURCE_EXHAUSTED".
std::string CodeName(grpc::StatusCode code);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_RESULT_H_
