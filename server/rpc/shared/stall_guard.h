#ifndef ATTENTION_SERVER_RPC_SHARED_STALL_GUARD_H_
#define ATTENTION_SERVER_RPC_SHARED_STALL_GUARD_H_

#include <grpcpp/server_context.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/engine/job.h"

namespace attention::rpc {

// Cancels calls whose peers neither read what they are sent nor send what they announced: such
// peers answer pings, so gRPC keeps them, and they hold the memory of an answer, or one of the few
// places for uploads, for as long as they like. Thread-safe; must outlive all its Waits.
//
// The lock guards who waits, the Waits' own fields included. Calls are cancelled and on_stall is
// called without it, and no other lock of ours is taken under it.
class StallGuard {
 public:
  // `limit` is what a peer has for each step. `on_stall` is told of each call that is cancelled, by
  // its peer; must not throw.
  StallGuard(absl::Duration limit, std::function<void(const std::string& peer)> on_stall);
  ~StallGuard();

  absl::Duration limit() const { return limit_; }

  // The steps of one call's peer. For one thread at a time; its destructor ends it.
  class Wait {
   public:
    // The call must outlive this.
    Wait(StallGuard& guard, grpc::ServerContextBase& rpc) : guard_(guard), rpc_(rpc) {}
    ~Wait() { End(); }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

    // The peer's turn: it is to send something, within `most`.
    void Begin(absl::Duration most);
    // It is to read `bytes`: within the limit, and a second more for each MiB.
    void BeginRead(int64_t bytes) { Begin(guard_.limit_ + absl::Seconds(bytes >> 20)); }
    // It has taken it.
    void End();

   private:
    friend class StallGuard;
    StallGuard& guard_;
    grpc::ServerContextBase& rpc_;
    bool waits_ = false;
    std::multimap<engine::SteadyClock::time_point, Wait*>::iterator place_;  // where it waits
  };

 private:
  void Watch() ABSL_LOCKS_EXCLUDED(mutex_);
  bool StopsWithin(absl::Duration time) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Duration limit_;
  const std::function<void(const std::string& peer)> on_stall_;
  absl::Mutex mutex_;
  absl::CondVar changed_;  // end_
  std::multimap<engine::SteadyClock::time_point, Wait*> due_ ABSL_GUARDED_BY(mutex_);
  bool end_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_STALL_GUARD_H_
