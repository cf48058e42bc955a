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

// One stream of gRPC's after the other, until one of them ends for good.
//
// A thread that is at gRPC's stream holds no lock, and has is_writing_ or is_reading_ set, of which
// each is one thread's at a time. Whoever finds that the stream is over takes both (Recover), and
// so is alone with it: reads what is left, learns how it ended, and puts another in its place or
// sets end_. A thread of its own then writes the calls that have no answer, since whoever reads
// must be free to read: a server stops reading where its answers are not read.
//
// The lock guards which stream there is, who is at it and what has no answer yet; Retries' lock is
// taken after it.
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
    if (is_writing_ || is_over_) return;  // whoever writes, or will, says it
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

  // After the last Read.
  absl::Status end() const {
    const absl::MutexLock lock(&mutex_);
    return *end_;
  }

 private:
  using Call = grpc::ClientReaderWriter<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse>;

  // A stream of gRPC's.
  struct Rpc {
    Rpc(Connections& connections, absl::Time deadline)
        : place(connections.TakeKnown(Connections::kManyBytes, deadline)) {
      context.set_deadline(absl::ToChronoTime(deadline));
      call = place->attention->StreamAttention(&context);
    }

    // Both sides of it have to end before gRPC tells how it ended.
    void WritesDone() {
      if (!std::exchange(writes_done, true)) call->WritesDone();
    }

    const Connections::Place place;
    grpc::ClientContext context;
    std::unique_ptr<Call> call;
    bool writes_done = false;  // of whoever has is_writing_
  };

  std::shared_ptr<Rpc> Open() const { return std::make_shared<Rpc>(*connections_, deadline_); }

  // The next answer; empty: the stream is over.
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

  // Gives is_writing_ back, and before that says that no more comes where that is so.
  void StopWriting(Rpc& rpc) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writes_done_ && !is_over_) {
      mutex_.Unlock();
      rpc.WritesDone();
      mutex_.Lock();
    }
    is_writing_ = false;
    changed_.SignalAll();
  }

  // Once rpc_ is over: puts another in its place, or sets end_. Returns at once where another
  // thread did so meanwhile.
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
        WriteAgain(*to, requests);  // and then gives is_writing_ back
      });
    } else {
      is_writing_ = false;
    }
    is_reading_ = false;
    changed_.SignalAll();
  }

  // Reads the answers that came before the stream was over, and how it ended.
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

  // Whether the calls that have no answer are to be made again, after waiting as long as they
  // should wait for that; where not, sets end_.
  bool MayOpenAnother(const absl::Status& failure, const Rpc& rpc)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    end_ = failure;
    if (failure.ok() || cancelled_) return false;
    if (absl::IsUnavailable(failure) && writes_done_ && unanswered_.empty()) {
      end_ = absl::OkStatus();  // nothing is missing but the server's word that this was all
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
  absl::CondVar changed_;  // anything of what follows
  std::shared_ptr<Rpc> rpc_ ABSL_GUARDED_BY(mutex_);
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;  // rpc_: a read or a write found no more of it
  bool writes_done_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  UnansweredCalls unanswered_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::ComputeAttentionResponse> early_ ABSL_GUARDED_BY(mutex_);  // read by Recover
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;  // of streams since the last answer
  std::thread again_;  // of whoever is in Recover; runs WriteAgain until is_writing_ is false
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
  while (Read().has_value()) {  // gRPC holds the status back behind them
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
