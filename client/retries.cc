#include "client/retries.h"

#include <algorithm>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"

namespace attention::client {
namespace {

// Returns the delay of google.rpc.RetryInfo, if there is one.
std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.RetryInfo");
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::nullopt;
  return absl::Seconds(info.retry_delay().seconds()) +
         absl::Nanoseconds(info.retry_delay().nanos());
}

}  // namespace

void Retries::CountSuccess() {
  const absl::MutexLock lock(&mutex_);
  budget_ = std::min(options_.budget, budget_ + options_.refill);
}

std::optional<absl::Duration> Retries::NextWait(const absl::Status& status,
                                                std::optional<int64_t> pushback_ms, int failures) {
  std::optional<absl::Duration> told = RetryDelay(status);
  if (pushback_ms.has_value()) told = absl::Milliseconds(*pushback_ms);
  const bool may_help =
      absl::IsUnavailable(status) || (absl::IsResourceExhausted(status) && told.has_value());
  if (!may_help) return std::nullopt;
  const absl::MutexLock lock(&mutex_);
  budget_ = std::max(0.0, budget_ - 1);
  if (failures >= options_.attempts || budget_ <= options_.budget / 2) return std::nullopt;
  if (told.has_value()) {
    if (*told < absl::ZeroDuration()) return std::nullopt;
    return told;
  }
  const absl::Duration longest = std::min(
      options_.most_wait, options_.first_wait * (int64_t{1} << std::min(failures - 1, 30)));
  return std::uniform_real_distribution<double>()(random_) * longest;
}

bool Retries::TakeHedge() {
  const absl::MutexLock lock(&mutex_);
  if (budget_ - 1 <= options_.budget / 2) return false;
  budget_ -= 1;
  return true;
}

std::optional<int64_t> PushbackOf(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find("grpc-retry-pushback-ms");
  if (found == trailers.end()) return std::nullopt;
  int64_t ms = 0;
  const absl::string_view text(found->second.data(), found->second.size());
  return absl::SimpleAtoi(text, &ms) && ms >= 0 ? ms : -1;
}

}  // namespace attention::client
