#include "client/attention_stream.h"

#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "attention/v1/attention_service.grpc.pb.h"
#include "client/channel.h"
#include "client/unanswered_calls.h"
#include "grpcpp/client_context.h"

namespace attention::client {

// Runs one gRPC stream after another, until one of them ends for good.
//
// A thread that calls the gRPC stream holds no lock, but has set is_writing_ or is_reading_, each
// of which belongs to one thread at a time. A thread that finds that the stream is over takes both
// flags (Recover), so that no other thread uses the stream. It reads the answers that are left,
// learns how the stream ended, and either puts another stream in its place or sets end_. A separate
// thread then writes the calls that have no answer, because the reading thread must be free to
// read: a server stops reading if its answers are not read.
//
// The lock guards which stream there is, which threads use it and which calls have no answer yet.
// The lock of Retries may be taken while it is held.
class AttentionStream::State {
 public:
  State(std::shared_ptr<Connections> connections, std::shared_ptr<Retries> retries,
        std::string target, absl::Time deadline)
      : connections_(std::move(connections)),
        retries_(std::move(retries)),
        target_(std::move(target)),
        deadline_(deadline),
        rpc_(Open()) {}

  bool Write(v1::ComputeAttentionRequest request) {
    const absl::MutexLock lock(&mutex_);
    while (!end_.has_value() && (is_writing_ || is_over_)) {
      if (is_over_) {
        Recover();
      } else {
        changed_.Wait(&mutex_);
      }
    }
    if (end_.has_value() || writes_done_) return false;
    const UnansweredCalls::Request sent = unanswered_.Add(std::move(request));
    const std::shared_ptr<Rpc> rpc = rpc_;
    is_writing_ = true;
    mutex_.Unlock();
    const bool ok = rpc->call->Write(*sent);
    mutex_.Lock();
    is_over_ = is_over_ || !ok;
    StopWriting(*rpc);
    if (!ok) Recover();
    return !end_.has_value();
  }

  void WritesDone() {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(writes_done_, true) || end_.has_value()) return;
    // Otherwise the thread that writes, now or on the next stream, calls WritesDone.
    if (is_writing_ || is_over_) return;
    is_writing_ = true;
    StopWriting(*rpc_);
  }

  std::optional<v1::ComputeAttentionResponse> Read() {
    const absl::MutexLock lock(&mutex_);
    for (;;) {
      if (!early_.empty()) {
        v1::ComputeAttentionResponse response = std::move(early_.front());
        early_.pop_front();
        return response;
      }
      if (end_.has_value()) return std::nullopt;
      if (is_over_) {
        Recover();
      } else if (is_reading_) {
        changed_.Wait(&mutex_);
      } else if (auto response = ReadNext()) {
        return response;
      }
    }
  }

  void Cancel() {
    const absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    changed_.SignalAll();
    rpc_->context.TryCancel();
  }

  // Valid after the last Read.
  absl::Status end() const {
    const absl::MutexLock lock(&mutex_);
    return *end_;
  }

 private:
  using Call = grpc::ClientReaderWriter<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse>;

  // One gRPC stream.
  struct Rpc {
    Rpc(Connections& connections, absl::Time deadline)
        : place(connections.TakeKnown(Connections::kManyBytes, deadline)) {
      context.set_deadline(absl::ToChronoTime(deadline));
      call = place->attention->StreamAttention(&context);
    }

    // gRPC tells how the stream ended only after both sides have ended.
    void WritesDone() {
      if (!std::exchange(writes_done, true)) call->WritesDone();
    }

    const Connections::Place place;
    grpc::ClientContext context;
    std::unique_ptr<Call> call;
    bool writes_done = false;  // belongs to the thread that has is_writing_
  };

  std::shared_ptr<Rpc> Open() const { return std::make_shared<Rpc>(*connections_, deadline_); }

  // Returns the next answer; empty if the stream is over.
  std::optional<v1::ComputeAttentionResponse> ReadNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::shared_ptr<Rpc> rpc = rpc_;
    is_reading_ = true;
    mutex_.Unlock();
    v1::ComputeAttentionResponse response;
    const bool ok = rpc->call->Read(&response);
    mutex_.Lock();
    is_reading_ = false;
    changed_.SignalAll();
    if (ok) {
      TakeAnswer(response);
      return response;
    }
    is_over_ = true;
    return std::nullopt;
  }

  void TakeAnswer(v1::ComputeAttentionResponse& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    unanswered_.Answer(response);
    failures_ = 0;
    if (!response.has_error()) retries_->CountSuccess();
  }

  // Gives is_writing_ back. If WritesDone was called meanwhile, first tells the stream so.
  void StopWriting(Rpc& rpc) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writes_done_ && !is_over_) {
      mutex_.Unlock();
      rpc.WritesDone();
      mutex_.Lock();
    }
    is_writing_ = false;
    changed_.SignalAll();
  }

  // Called when rpc_ is over: puts another stream in its place, or sets end_. If another thread did
  // so meanwhile, it only returns.
  void Recover() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::shared_ptr<Rpc> rpc = rpc_;
    while (rpc_ == rpc && !end_.has_value() && (is_writing_ || is_reading_)) {
      changed_.Wait(&mutex_);
    }
    if (rpc_ != rpc || end_.has_value()) return;
    is_writing_ = is_reading_ = true;
    const absl::Status failure = TakeEnd(*rpc);
    if (MayOpenAnother(failure, *rpc)) {
      mutex_.Unlock();
      std::shared_ptr<Rpc> next = Open();
      mutex_.Lock();
      rpc_ = std::move(next);
      if (cancelled_) rpc_->context.TryCancel();
      is_over_ = false;
      again_ = std::thread([this, to = rpc_, requests = unanswered_.requests()] {
        WriteAgain(*to, requests);  // gives is_writing_ back at its end
      });
    } else {
      is_writing_ = false;
    }
    is_reading_ = false;
    changed_.SignalAll();
  }

  // Reads the answers that arrived before the stream was over, and returns how it ended.
  absl::Status TakeEnd(Rpc& rpc) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    mutex_.Unlock();
    if (again_.joinable()) again_.join();
    std::vector<v1::ComputeAttentionResponse> answers;
    v1::ComputeAttentionResponse response;
    while (rpc.call->Read(&response)) answers.push_back(std::move(response));
    rpc.WritesDone();
    absl::Status status = ExplainFailure(rpc.call->Finish(), *rpc.place->channel, target_);
    mutex_.Lock();
    for (v1::ComputeAttentionResponse& answer : answers) {
      TakeAnswer(answer);
      early_.push_back(std::move(answer));
    }
    return status;
  }

  // Decides whether the calls without an answer are made again. If so, waits as long as they should
  // wait; if not, sets end_.
  bool MayOpenAnother(const absl::Status& failure, const Rpc& rpc)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    end_ = failure;
    if (failure.ok() || cancelled_) return false;
    if (absl::IsUnavailable(failure) && writes_done_ && unanswered_.empty()) {
      end_ = absl::OkStatus();  // all answers are there; only the status of the server is missing
      return false;
    }
    const auto wait = retries_->NextWait(failure, PushbackOf(rpc.context), ++failures_);
    const absl::Time until = absl::Now() + wait.value_or(absl::ZeroDuration());
    if (!wait.has_value() || until >= deadline_) return false;
    end_.reset();
    while (!cancelled_ && absl::Now() < until) changed_.WaitWithDeadline(&mutex_, until);
    if (cancelled_) end_ = absl::CancelledError("the stream was cancelled");
    return !cancelled_;
  }

  void WriteAgain(Rpc& rpc, const std::vector<UnansweredCalls::Request>& requests)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    bool ok = true;
    for (size_t i = 0; ok && i < requests.size(); ++i) ok = rpc.call->Write(*requests[i]);
    const absl::MutexLock lock(&mutex_);
    is_over_ = is_over_ || !ok;
    StopWriting(rpc);
  }

  const std::shared_ptr<Connections> connections_;
  const std::shared_ptr<Retries> retries_;
  const std::string target_;
  const absl::Time deadline_;

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;  // signalled when any member below changes
  std::shared_ptr<Rpc> rpc_ ABSL_GUARDED_BY(mutex_);
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;  // a read or a write found that rpc_ has ended
  bool writes_done_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  UnansweredCalls unanswered_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::ComputeAttentionResponse> early_ ABSL_GUARDED_BY(mutex_);  // read by Recover
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;  // streams that failed since the last answer
  std::thread again_;  // belongs to the thread in Recover; runs WriteAgain until is_writing_ is
                       // false
};

AttentionStream::AttentionStream(std::shared_ptr<Connections> connections,
                                 std::shared_ptr<Retries> retries, std::string target,
                                 absl::Time deadline)
    : state_(std::make_unique<State>(std::move(connections), std::move(retries), std::move(target),
                                     deadline)) {}

AttentionStream::AttentionStream(AttentionStream&&) noexcept = default;

bool AttentionStream::Write(v1::ComputeAttentionRequest request) {
  return state_->Write(std::move(request));
}

void AttentionStream::WritesDone() { state_->WritesDone(); }

std::optional<v1::ComputeAttentionResponse> AttentionStream::Read() { return state_->Read(); }

void AttentionStream::Cancel() { state_->Cancel(); }

absl::Status AttentionStream::Finish() {
  if (std::exchange(finished_, true)) {
    return absl::FailedPreconditionError("the stream was finished before");
  }
  WritesDone();
  while (Read().has_value()) {  // gRPC gives the status only after all answers were read
  }
  return state_->end();
}

AttentionStream::~AttentionStream() {
  if (state_ == nullptr) return;
  Cancel();
  while (Read().has_value()) {
  }
}

}  // namespace attention::client
