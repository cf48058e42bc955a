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

// What is expected of a call of a load test.
enum class Intent { kAnswer, kCancel, kBeRefused };

// How one call ended.
struct CallEnd {
  Intent intent = Intent::kAnswer;
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  // When it should have begun. In an open loop that cannot keep up this is earlier than it really
  // began.
  SteadyTime intended = {};
  SteadyTime ended = {};
  int64_t tokens = 0;
  int retries = 0;        // how often it was made again
  bool is_wrong = false;  // its bytes differ from those of the call made alone
  std::optional<v1::Timing> timing = std::nullopt;  // the server's; set if the answer was read
};

// What a load test found.
struct LoadResult {
  // The duration of the test. Calls that ended before or after it are not in the rates.
  absl::Duration lasted;
  int64_t answers = 0;  // that came during the test, and their tokens
  int64_t answered_tokens = 0;

  // The members below count the calls that should have begun during the test, whenever they ended.
  LatencyHistogram latency;         // of calls that were answered
  LatencyHistogram queue, compute;  // on the server; of calls whose answers were read
  LatencyHistogram refusal;         // of calls that ended with RESOURCE_EXHAUSTED
  int64_t batch_calls = 0;  // sum, over the answers that were read, of the calls in each one's
                            // batch
  std::map<std::string, int64_t> by_code;  // of calls that should be answered, such as "OK": 1000
  int64_t wrong = 0;
  int64_t retries = 0;    // how often calls were made again
  int64_t cancelled = 0;  // calls that were meant to be cancelled
  int64_t refused = 0;    // invalid calls that were refused, as they should be
  int64_t not_made = 0;   // because an open loop had too many in flight
  // The messages of calls that did not end as they should, and how many calls had each: calls that
  // should be answered, but not those that ended with RESOURCE_EXHAUSTED, calls that should be
  // refused or cancelled, and calls that were not made.
  std::map<std::string, int64_t> failures;

  struct Second {
    int64_t calls = 0;         // that ended in it, with any code
    LatencyHistogram latency;  // of the answered calls
  };
  std::vector<Second> seconds;  // from the start of the test on; a call counts when it ends

  // The server's process during the test, if it was watched.
  absl::Duration server_cpu;
  int64_t server_resident_bytes = 0;  // the largest value that was seen

  absl::Time made;  // when the test was over

  int64_t answered() const { return latency.count(); }
  double AnsweredPerSecond() const { return PerSecond(answers); }
  double TokensPerSecond() const { return PerSecond(answered_tokens); }

 private:
  double PerSecond(int64_t count) const;  // 0 if no time passed
};

// What a load test found during some time, for a progress display.
struct LoadProgress {
  int64_t answered = 0;
  LatencyHistogram latency;  // of the answered calls
  int64_t refused = 0;       // with RESOURCE_EXHAUSTED
  int64_t failed = 0;        // see LoadResult::failures
};

// Gathers how calls end in a test from `start` to `end`. Thread-safe. The lock guards what was
// gathered; no other lock is taken under it.
class LoadRecorder {
 public:
  LoadRecorder(SteadyTime start, SteadyTime end) : start_(start), end_(end) {}

  void Add(const CallEnd& end);
  void CountNotMade(SteadyTime intended);

  // Returns what was added since the last call of this function, including the warm-up.
  LoadProgress TakeProgress();

  // Returns the result. Must be called after the last Add.
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
