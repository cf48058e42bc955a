#ifndef ATTENTION_SERVER_RPC_ATTENTION_ATTENTION_STREAM_H_
#define ATTENTION_SERVER_RPC_ATTENTION_ATTENTION_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "attention/v1/attention_service.pb.h"
#include "server/rpc/attention/compute_attention_call.h"
#include "server/rpc/shared/calls_in_flight.h"

// StreamAttention: many calls on one stream, each answered as soon as it is computed.
namespace attention::rpc {

class AttentionStream;

// The streams that are open, so that a stopping server can end them. Thread-safe. The lock guards
// the list, and is held while streams are ended, so that none of them is gone; a stream's own lock
// is taken after it.
class OpenStreams {
 public:
  void Add(AttentionStream& stream);
  void Remove(AttentionStream& stream);
  // Every stream, those to come included, ends with UNAVAILABLE once the calls that it has taken
  // are answered.
  void End();

 private:
  absl::Mutex mutex_;
  std::set<AttentionStream*> streams_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

// One StreamAttention call: each message is a call of the engine, answered as soon as it is
// through. A call that fails is answered with its error, and the stream goes on.
//
// Takes up to kMostCalls, and while its messages take less than max_stream_bytes; then it reads no
// further until an answer has left. So a client that does not read its answers is not read from
// either, and holds up nobody else. Deletes itself when gRPC is done with it.
//
// The lock guards the calls of the stream and how far it has come. gRPC's functions and the
// engine's are called without it, since they may call back; only CallsInFlight's lock is taken
// under it.
class AttentionStream final
    : public grpc::ServerBidiReactor<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse> {
 public:
  static constexpr int kMostCalls = 64;

  AttentionStream(const ComputeContext& context, CallsInFlight& calls, OpenStreams& streams,
                  grpc::CallbackServerContext& rpc);

  // Takes no more calls.
  void End();

 private:
  struct Item {
    int64_t number = 0;  // of the calls of this stream
    v1::ComputeAttentionRequest request;
    v1::ComputeAttentionResponse response;
    ComputeAttentionCall call{request, response};
    bool is_started = false;  // guarded by the stream's mutex_, as the next
    int64_t bytes = 0;        // counted in bytes_
  };
  using ItemPtr = std::unique_ptr<Item>;

  // Whatever a thread does here, it does between Enter and Leave: the last that leaves finishes a
  // stream that is over, so that none is gone while another thread is still at it.
  class Visit;
  void Enter() ABSL_LOCKS_EXCLUDED(mutex_);
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void StartCall(Item& item) ABSL_LOCKS_EXCLUDED(mutex_);
  void Answer(Item& item, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  void Advance() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeCall(bool ok) ABSL_LOCKS_EXCLUDED(mutex_);
  void DropAnswer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Count(Item& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TakesMore() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsOver() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  grpc::Status Outcome() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ComputeContext& context_;
  CallsInFlight& calls_;
  OpenStreams& streams_;
  grpc::CallbackServerContext& rpc_;
  const engine::SteadyClock::time_point deadline_;
  StallGuard::Wait reading_;  // an answer, by the peer; of one write at a time

  absl::Mutex mutex_;
  ItemPtr next_ ABSL_GUARDED_BY(mutex_);  // that gRPC reads into, or null
  int visits_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;                   // calls
  std::map<int64_t, ItemPtr> running_ ABSL_GUARDED_BY(mutex_);  // by number
  std::deque<ItemPtr> answered_ ABSL_GUARDED_BY(mutex_);  // gRPC writes the first where is_writing_
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of all that were taken and are not yet answered
  bool read_all_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_ATTENTION_STREAM_H_
