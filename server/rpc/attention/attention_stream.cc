#include "server/rpc/attention/attention_stream.h"

#include <algorithm>
#include <new>
#include <utility>

#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/shared/grpc_status.h"

namespace attention::rpc {

void OpenStreams::Add(AttentionStream& stream) {
  const absl::MutexLock lock(&mutex_);
  streams_.insert(&stream);
  if (ended_) stream.End();
}

void OpenStreams::Remove(AttentionStream& stream) {
  const absl::MutexLock lock(&mutex_);
  streams_.erase(&stream);
}

void OpenStreams::End() {
  const absl::MutexLock lock(&mutex_);
  ended_ = true;
  // None of them is gone before Remove.
  for (AttentionStream* const stream : streams_) stream->End();
}

class AttentionStream::Visit {
 public:
  explicit Visit(AttentionStream& stream) : stream_(stream) { stream_.Enter(); }
  ~Visit() { stream_.Leave(); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  AttentionStream& stream_;
};

void AttentionStream::Enter() {
  const absl::MutexLock lock(&mutex_);
  ++visits_;
}

void AttentionStream::Leave() {
  grpc::Status outcome;
  {
    const absl::MutexLock lock(&mutex_);
    if (--visits_ > 0 || finished_ || !IsOver()) return;
    finished_ = true;
    outcome = Outcome();
  }
  Finish(outcome);
}

AttentionStream::AttentionStream(const ComputeContext& context, CallsInFlight& calls,
                                 OpenStreams& streams, grpc::CallbackServerContext& rpc)
    : context_(context),
      calls_(calls),
      streams_(streams),
      rpc_(rpc),
      deadline_(SteadyDeadline(rpc)),
      reading_(context.stalls, rpc) {
  const Visit visit(*this);
  streams_.Add(*this);
  Advance();
}

void AttentionStream::End() {
  const Visit visit(*this);
  {
    const absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  Advance();
}

void AttentionStream::OnReadDone(bool ok) {
  const Visit visit(*this);
  TakeCall(ok);
  Advance();
}

// What was read, unless nothing was.
void AttentionStream::TakeCall(bool ok) {
  Item* item = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    ItemPtr read = std::move(next_);
    read_all_ = read_all_ || !ok;
    const bool wanted = ok && !finished_ && !cancelled_ && !ending_;
    if (wanted && calls_.Enter()) {
      item = read.get();
      item->number = taken_++;
      running_[item->number] = std::move(read);
    } else if (wanted) {
      ending_ = true;
    }
  }
  if (item != nullptr) StartCall(*item);
}

void AttentionStream::StartCall(Item& item) {
  const int64_t number = item.number;  // of an item that may be gone once it was started
  absl::Status status;
  try {
    status = item.call.Start(context_, deadline_, [this, &item](const absl::Status& answer) {
      const Visit visit(*this);
      Answer(item, answer);
      Advance();
    });
  } catch (const std::bad_alloc&) {
    status = absl::ResourceExhaustedError("out of memory for this call; try again later");
  } catch (const std::exception& e) {
    status = absl::InternalError(absl::StrCat("the call failed: ", e.what()));
  }
  if (!status.ok()) return Answer(item, status);
  std::shared_ptr<engine::Job> unwanted;
  {
    const absl::MutexLock lock(&mutex_);
    if (running_.count(number) == 0) return;  // answered already
    item.is_started = !cancelled_;
    Count(item);
    if (cancelled_) unwanted = item.call.job();
  }
  if (unwanted != nullptr) context_.engine.Cancel(unwanted);
}

// Its memory counts from now on.
void AttentionStream::Count(Item& item) {
  if (item.bytes > 0) return;
  item.bytes = std::max<int64_t>(item.call.message_bytes(), 1);
  bytes_ += item.bytes;
}

// To be followed by Advance.
void AttentionStream::Answer(Item& item, const absl::Status& status) {
  if (!status.ok()) {
    item.response.Clear();
    item.response.set_request_id(std::string(ShownRequestId(item.request.request_id())));
    *item.response.mutable_error() = ToRpcStatus(status);
  }
  item.call.Report(context_, "StreamAttention", status, rpc_);
  const absl::MutexLock lock(&mutex_);
  Count(item);
  const auto own = running_.find(item.number);
  answered_.push_back(std::move(own->second));
  running_.erase(own);
}

// The first, which was written or never will be.
void AttentionStream::DropAnswer() {
  bytes_ -= answered_.front()->bytes;
  answered_.pop_front();
  calls_.Leave();
}

bool AttentionStream::TakesMore() const {
  const size_t calls = running_.size() + answered_.size();
  return next_ == nullptr && !read_all_ && !ending_ && !cancelled_ && calls < kMostCalls &&
         (calls == 0 || bytes_ < context_.max_stream_bytes);
}

bool AttentionStream::IsOver() const {
  return (read_all_ || ending_ || cancelled_) && running_.empty() && answered_.empty();
}

grpc::Status AttentionStream::Outcome() const {
  if (cancelled_) return ToGrpcStatus(absl::CancelledError("the caller cancelled the stream"));
  return ToGrpcStatus(ending_ ? ShuttingDown() : absl::OkStatus());
}

// Does what there is to do: reads the next call, writes an answer. What is decided is noted before
// the lock is let go of, so that each is done once.
void AttentionStream::Advance() {
  Item* read = nullptr;
  Item* write = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    if (finished_) return;
    while (cancelled_ && !is_writing_ && !answered_.empty()) DropAnswer();
    if (!is_writing_ && !answered_.empty()) {
      is_writing_ = true;
      write = answered_.front().get();
    }
    if (TakesMore()) {
      next_ = std::make_unique<Item>();
      read = next_.get();
    }
  }
  if (read != nullptr) StartRead(&read->request);
  if (write != nullptr) {
    reading_.BeginRead(write->call.response_bytes());
    StartWrite(&write->response);
  }
}

void AttentionStream::OnWriteDone(bool ok) {
  const Visit visit(*this);
  reading_.End();
  {
    const absl::MutexLock lock(&mutex_);
    is_writing_ = false;
    cancelled_ = cancelled_ || !ok;  // OnCancel follows
    DropAnswer();
  }
  Advance();
}

void AttentionStream::OnCancel() {
  const Visit visit(*this);
  {
    const absl::MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  // Outside the lock, which Answer takes. Those that have yet to start see cancelled_.
  for (;;) {
    std::shared_ptr<engine::Job> job;
    {
      const absl::MutexLock lock(&mutex_);
      const auto started = std::find_if(running_.begin(), running_.end(),
                                        [](const auto& own) { return own.second->is_started; });
      if (started == running_.end()) break;
      started->second->is_started = false;
      job = started->second->call.job();
    }
    context_.engine.Cancel(job);
  }
  Advance();
}

void AttentionStream::OnDone() {
  streams_.Remove(*this);
  delete this;
}

}  // namespace attention::rpc
