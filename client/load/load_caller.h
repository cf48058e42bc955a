#ifndef ATTENTION_CLIENT_LOAD_LOAD_CALLER_H_
#define ATTENTION_CLIENT_LOAD_LOAD_CALLER_H_

#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "client/channel.h"
#include "client/load/load_options.h"
#include "client/load/load_requests.h"
#include "client/load/load_result.h"
#include "client/load/timer.h"
#include "client/retries.h"

namespace attention::client {

// Draws calls by chance and makes them, over connections in turn. For one thread at a time; the
// answers come on gRPC's threads. What it refers to must outlive all calls.
class LoadCaller {
 public:
  struct Target {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<grpc::GenericStub> stub;
  };

  // What the callers of a test share.
  struct Shared {
    const LoadOptions& options;
    const LoadRequests& requests;
    std::vector<Target> targets;  // connections, from ConnectAll
    LoadRecorder& recorder;
    Retries retries{RetryOptions()};
    Timer timer = {};
  };

  // `seed` says which calls are drawn.
  LoadCaller(Shared& shared, uint64_t seed);

  // Makes a call that was to begin at `intended`, and calls `done` when it has ended, with
  // options.retry after it was made again where that helps, and was counted; nothing of it is left
  // then.
  void Call(SteadyTime intended, std::function<void()> done);

 private:
  struct InFlight;
  static CallEnd EndOf(const InFlight& call, const absl::Status& status);
  Intent DrawIntent();
  // The next in turn; of those that are connected, where calls are made again.
  grpc::GenericStub& NextStub();
  void Start(std::unique_ptr<InFlight> call);  // an attempt
  void Ended(std::unique_ptr<InFlight> call, const absl::Status& status);

  Shared& shared_;
  std::mt19937_64 random_;
  std::atomic<size_t> next_target_;  // calls are made again by other threads
};

// options.connections to each target, in turn; `credentials` are those of options.tls. Fails as
// CreateChannel.
absl::StatusOr<std::vector<LoadCaller::Target>> ConnectAll(const LoadOptions& options,
                                                           const Credentials& credentials);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_CALLER_H_
