#ifndef ATTENTION_SERVER_ENGINE_RETRY_AFTER_H_
#define ATTENTION_SERVER_ENGINE_RETRY_AFTER_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

// When it makes sense to make a refused call again: a payload of the status.
namespace attention::engine {

inline constexpr char kRetryAfterPayload[] = "attention/retry_after_ms";

// `after` is rounded to milliseconds, at least 1.
inline absl::Status WithRetryAfter(absl::Status status, absl::Duration after) {
  const int64_t ms = std::max<int64_t>(1, absl::ToInt64Milliseconds(after));
  status.SetPayload(kRetryAfterPayload, absl::Cord(absl::StrCat(ms)));
  return status;
}

// Empty where the status does not say.
inline std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfterPayload);
  int64_t ms = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &ms)) return std::nullopt;
  return absl::Milliseconds(ms);
}

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_RETRY_AFTER_H_
