#ifndef ATTENTION_CLIENT_CLI_COMMANDS_PROGRESS_BAR_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_PROGRESS_BAR_H_

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>

#include "absl/time/time.h"

namespace attention::client {

// One line of a terminal that says how far something is and how long it will still take, drawn over
// itself. Not thread-safe.
class ProgressBar {
 public:
  // `out` null: draws nothing. `what` is fit for a terminal (display_text.h).
  ProgressBar(std::ostream* out, std::string what, int64_t total_bytes);
  ~ProgressBar();  // the line ends
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws ten times a second at most, and at the end.
  void Update(int64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  std::ostream* const out_;
  const std::string what_;
  const int64_t total_bytes_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_ = {};
};

// "minilm  [=====>    ]  45 %  39.0 of 86.7 MiB  110.3 MiB/s  1 s left", as it is after `since`.
std::string ProgressText(const std::string& what, int64_t bytes, int64_t total_bytes,
                         absl::Duration since);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_PROGRESS_BAR_H_
