#ifndef ATTENTION_SERVER_OPS_LINE_RATE_H_
#define ATTENTION_SERVER_OPS_LINE_RATE_H_

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/ops/log.h"

namespace attention::ops {

// How often lines of one kind may be logged: what clients bring about in any number, such as
// refusals under overload, must not take the time of those who are served. Thread-safe. No other
// lock is taken under its own.
class LineRate {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr int kMost = 100;  // lines in each second

  // Whether a line may be logged now; if so, how many were left out since the last one.
  std::optional<int64_t> Admit(Clock::time_point now = Clock::now()) {
    const absl::MutexLock lock(&mutex_);
    if (now - since_ >= std::chrono::seconds(1)) {
      since_ = now;
      lines_ = 0;
    }
    if (lines_ >= kMost) {
      ++left_out_;
      return std::nullopt;
    }
    ++lines_;
    return std::exchange(left_out_, 0);
  }

 private:
  absl::Mutex mutex_;
  Clock::time_point since_ ABSL_GUARDED_BY(mutex_) = {};
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;  // since then
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Logs the object that `fields` makes, if it is severe enough and `rate` allows it; "left_out" says
// how many lines it did not allow since the last one.
template <typename Fields>
void LogAtRate(LineRate& rate, Severity severity, absl::string_view event, Fields fields) {
  if (!IsLogged(severity)) return;
  const std::optional<int64_t> left_out = rate.Admit();
  if (!left_out.has_value()) return;
  nlohmann::ordered_json line = fields();
  if (*left_out > 0) line["left_out"] = *left_out;
  Log(severity, event, line);
}

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_LINE_RATE_H_
