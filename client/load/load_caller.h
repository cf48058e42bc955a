#ifndef ATTENTION_CLIENT_LOAD_LOAD_CALLER_H_
#define ATTENTION_CLIENT_LOAD_LOAD_CALLER_H_

#include <grpcpp/generic/generic_stub.h>

#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/canceller.h"
#include "client/load/load_options.h"
#include "client/load/load_requests.h"
#include "client/load/load_result.h"

namespace attention::client {

// Draws calls by chance and makes them, over connections in turn. For one thread at a time; the
// answers come on gRPC's threads. What it refers to must outlive all calls.
class LoadCaller {
 public:
  using Stubs = std::vector<std::unique_ptr<grpc::GenericStub>>;

  // `seed` says which calls are drawn.
  LoadCaller(const LoadOptions& options, const LoadRequests& requests, Stubs& stubs,
             Canceller& canceller, LoadRecorder& recorder, uint64_t seed);

  // Makes a call that was to begin at `intended`, and calls `done` when it has ended and was
  // counted.
  void Call(SteadyTime intended, std::function<void()> done);

 private:
  struct InFlight;
  static CallEnd EndOf(const InFlight& call, const grpc::Status& status);
  Intent DrawIntent();

  const LoadOptions& options_;
  const LoadRequests& requests_;
  Stubs& stubs_;
  Canceller& canceller_;
  LoadRecorder& recorder_;
  std::mt19937_64 random_;
  size_t next_stub_;
};

// options.connections to each target, in turn. Fails as CreateChannel.
absl::StatusOr<LoadCaller::Stubs> ConnectAll(const LoadOptions& options);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_CALLER_H_
