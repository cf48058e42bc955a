#ifndef ATTENTION_CLIENT_CLI_COMMANDS_PROGRESS_BAR_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_PROGRESS_BAR_H_

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>

#include "absl/time/time.h"

namespace attention::client {

// One line of a terminal that shows how far a transfer is and how long it will still take. Each
// drawing replaces the one before. Not thread-safe.
class ProgressBar {
 public:
  // If `out` is null, nothing is drawn. `what` must be safe for a terminal (display_text.h).
  ProgressBar(std::ostream* out, std::string what, int64_t total_bytes);
  ~ProgressBar();  // ends the line
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws at most ten times a second, and at the end.
  void Update(int64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  std::ostream* const out_;
  const std::string what_;
  const int64_t total_bytes_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_ = {};
};

// Returns a text such as
//
//   minilm  [=====>    ]  45 %  39.0 of 86.7 MiB  110.3 MiB/s  1 s left
//
// `since` is the time since the start.
std::string ProgressText(const std::string& what, int64_t bytes, int64_t total_bytes,
                         absl::Duration since);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_PROGRESS_BAR_H_
