#ifndef ATTENTION_CLIENT_LOAD_LOAD_RESULT_H_
#define ATTENTION_CLIENT_LOAD_LOAD_RESULT_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "attention/v1/attention_service.pb.h"
#include "client/load/latency_histogram.h"

namespace attention::client {

// What is meant by a call of a load test.
enum class Intent { kAnswer, kCancel, kBeRefused };

// How one call ended.
struct CallEnd {
  Intent intent = Intent::kAnswer;
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  absl::Time intended;  // when it was to begin: of an open loop earlier than it did where that lags
  absl::Time ended;
  int64_t tokens = 0;
  bool is_wrong = false;  // its bytes are others than when it was made alone
  v1::Timing timing;      // the server's, of an answer
};

// What a load test found.
struct LoadResult {
  absl::Duration lasted;
  LatencyHistogram latency, queue,
      compute;  // of calls that were answered; the last two on the server
  int64_t answered_tokens = 0;
  int64_t batch_calls = 0;  // over the answered calls, how many there were in each one's batch
  std::map<std::string, int64_t> by_code;  // of calls that were to be answered: "OK": 1000
  int64_t wrong = 0;
  int64_t cancelled = 0;  // those that were to be
  int64_t refused = 0;    // those that were to be, and were
  int64_t not_made = 0;   // an open loop had too many in flight
  // The texts of calls that ended as they should not have, and how many did: those that were to be
  // answered, but for RESOURCE_EXHAUSTED, and those that were to be refused or cancelled.
  std::map<std::string, int64_t> failures;

  struct Second {
    int64_t calls = 0;         // that ended in it, with whatever code
    LatencyHistogram latency;  // of the answered
  };
  std::vector<Second> seconds;  // of the test, by when calls ended

  // The server's process, where it was watched.
  absl::Duration server_cpu;
  int64_t server_resident_bytes = 0;  // the most that was seen

  int64_t answered() const { return latency.count(); }
  double AnsweredPerSecond() const;
};

// Gathers how calls end, from `start` on; those that were to begin before are not counted.
// Thread-safe.
class LoadRecorder {
 public:
  explicit LoadRecorder(absl::Time start) : start_(start) {}

  void Add(const CallEnd& end);
  void CountNotMade(absl::Time intended);

  // After the last Add.
  LoadResult Take(absl::Time end);

 private:
  const absl::Time start_;
  // Not an absl::Mutex: ThreadSanitizer does not see how Debian's hands memory from thread to
  // thread.
  std::mutex mutex_;
  LoadResult result_;  // guarded by mutex_
};

// The canonical name: "RESOURCE_EXHAUSTED".
std::string CodeName(grpc::StatusCode code);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_RESULT_H_
