#include "client/load/load_result.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace attention::client {
namespace {

constexpr size_t kMostTexts = 20;  // different messages of failures; they contain numbers, so there
                                   // may be many

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

bool EndedAsMeant(const CallEnd& end) {
  switch (end.intent) {
    case Intent::kAnswer:
      return (end.code == grpc::StatusCode::OK && !end.is_wrong) ||
             end.code == grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Intent::kCancel:  // it may have been answered or refused before it was cancelled
      return end.code == grpc::StatusCode::CANCELLED || end.code == grpc::StatusCode::OK ||
             end.code == grpc::StatusCode::RESOURCE_EXHAUSTED;
    default:
      return end.code == grpc::StatusCode::INVALID_ARGUMENT;
  }
}

}  // namespace

std::string CodeName(grpc::StatusCode code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
}

double LoadResult::PerSecond(int64_t count) const {
  if (lasted <= absl::ZeroDuration()) return 0;
  return static_cast<double>(count) / absl::ToDoubleSeconds(lasted);
}

void LoadRecorder::Add(const CallEnd& end) {
  const absl::MutexLock lock(&mutex_);
  const bool was_answered = end.intent == Intent::kAnswer && end.code == grpc::StatusCode::OK;
  if (was_answered && end.ended >= start_ && end.ended < end_) {
    ++result_.answers;
    result_.answered_tokens += end.tokens;
  }
  CountProgress(end);
  if (end.intended < start_) return;
  const auto second = static_cast<size_t>((end.ended - start_) / std::chrono::seconds(1));
  if (result_.seconds.size() <= second) result_.seconds.resize(second + 1);
  ++result_.seconds[second].calls;
  if (!EndedAsMeant(end)) {
    std::string text = end.is_wrong ? "the answer has other bytes than when the call was made alone"
                                    : absl::StrCat(CodeName(end.code), ": ", end.message);
    if (result_.failures.size() >= kMostTexts) text = "others";
    ++result_.failures[std::move(text)];
  }
  result_.wrong += end.is_wrong ? 1 : 0;
  result_.retries += end.retries;
  if (end.intent == Intent::kCancel) {
    ++result_.cancelled;
    return;
  }
  if (end.intent == Intent::kBeRefused) {
    result_.refused += end.code == grpc::StatusCode::INVALID_ARGUMENT ? 1 : 0;
    return;
  }
  ++result_.by_code[CodeName(end.code)];
  const absl::Duration latency = absl::FromChrono(end.ended - end.intended);
  if (end.code == grpc::StatusCode::RESOURCE_EXHAUSTED) result_.refusal.Add(latency);
  if (!was_answered) return;
  result_.latency.Add(latency);
  result_.seconds[second].latency.Add(latency);
  if (!end.timing.has_value()) return;
  result_.queue.Add(FromProto(end.timing->queue()));
  result_.compute.Add(FromProto(end.timing->compute()));
  result_.batch_calls += end.timing->batch_calls();
}

void LoadRecorder::CountProgress(const CallEnd& end) {
  progress_.failed += EndedAsMeant(end) ? 0 : 1;
  if (end.intent != Intent::kAnswer) return;
  progress_.refused += end.code == grpc::StatusCode::RESOURCE_EXHAUSTED ? 1 : 0;
  if (end.code != grpc::StatusCode::OK) return;
  ++progress_.answered;
  progress_.latency.Add(absl::FromChrono(end.ended - end.intended));
}

LoadProgress LoadRecorder::TakeProgress() {
  const absl::MutexLock lock(&mutex_);
  return std::exchange(progress_, {});
}

void LoadRecorder::CountNotMade(SteadyTime intended) {
  if (intended < start_) return;
  const absl::MutexLock lock(&mutex_);
  ++progress_.failed;
  ++result_.not_made;
}

LoadResult LoadRecorder::Take() {
  const absl::MutexLock lock(&mutex_);
  result_.lasted = absl::FromChrono(end_ - start_);
  result_.made = absl::Now();
  if (result_.not_made > 0) {
    result_.failures["not made: too many calls were in flight"] = result_.not_made;
  }
  return std::move(result_);
}

}  // namespace attention::client
