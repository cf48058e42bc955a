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

// Draws calls at random and makes them, over the connections in turn. For one thread at a time;
// answers arrive on gRPC's threads. `shared` must outlive all calls.
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

  // `seed` determines which calls are drawn.
  LoadCaller(Shared& shared, uint64_t seed);

  // Makes a call that was to begin at `intended`. With options.retry a failed call is made again
  // where that may help. When the call has ended, was counted and is destroyed, `done` is called.
  void Call(SteadyTime intended, std::function<void()> done);

 private:
  struct InFlight;
  static CallEnd EndOf(const InFlight& call, const absl::Status& status);
  Intent DrawIntent();
  // Returns the next stub in turn; if calls are made again, the next one that is connected.
  grpc::GenericStub& NextStub();
  void Start(std::unique_ptr<InFlight> call);  // starts one attempt
  void Ended(std::unique_ptr<InFlight> call, const absl::Status& status);

  Shared& shared_;
  std::mt19937_64 random_;
  std::atomic<size_t> next_target_;  // atomic because other threads make calls again
};

// Makes options.connections connections to each target, alternating between the targets;
// `credentials` are those of options.tls. Fails as CreateChannel.
absl::StatusOr<std::vector<LoadCaller::Target>> ConnectAll(const LoadOptions& options,
                                                           const Credentials& credentials);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_CALLER_H_
