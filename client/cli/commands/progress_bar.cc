#include "client/cli/commands/progress_bar.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace attention::client {
namespace {

constexpr size_t kCells = 24;
constexpr auto kBetween = std::chrono::milliseconds(100);
// Before this time a rate would mean nothing.
constexpr absl::Duration kFirstRate = absl::Milliseconds(500);

}  // namespace

std::string ProgressText(const std::string& what, int64_t bytes, int64_t total_bytes,
                         absl::Duration since) {
  constexpr double kMib = 1 << 20;
  const double part =
      total_bytes > 0
          ? std::clamp(static_cast<double>(bytes) / static_cast<double>(total_bytes), 0.0, 1.0)
          : 1;
  const auto cells = static_cast<size_t>(part * kCells);
  std::string bar(cells, '=');
  if (cells < kCells) bar += '>';
  bar.resize(kCells, ' ');
  std::string text =
      absl::StrFormat("%s  [%s] %3.0f %%  %.1f of %.1f MiB", what, bar, std::floor(100 * part),
                      static_cast<double>(bytes) / kMib, static_cast<double>(total_bytes) / kMib);
  if (since < kFirstRate || bytes == 0) return text;
  const double rate = static_cast<double>(bytes) / absl::ToDoubleSeconds(since);
  absl::StrAppendFormat(&text, "  %.1f MiB/s", rate / kMib);
  if (bytes < total_bytes) {
    absl::StrAppendFormat(&text, "  %.0f s left",
                          std::ceil(static_cast<double>(total_bytes - bytes) / rate));
  }
  return text;
}

ProgressBar::ProgressBar(std::ostream* out, std::string what, int64_t total_bytes)
    : out_(out), what_(std::move(what)), total_bytes_(total_bytes) {}

ProgressBar::~ProgressBar() {
  if (out_ != nullptr && drawn_ != Clock::time_point()) *out_ << "\n" << std::flush;
}

void ProgressBar::Update(int64_t bytes) {
  const Clock::time_point now = Clock::now();
  if (out_ == nullptr || (now - drawn_ < kBetween && bytes < total_bytes_)) return;
  drawn_ = now;
  // "\x1b[K" clears what a longer line left behind.
  *out_ << "\r" << ProgressText(what_, bytes, total_bytes_, absl::FromChrono(now - start_))
        << "\x1b[K" << std::flush;
}

}  // namespace attention::client
