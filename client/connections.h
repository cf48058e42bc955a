#ifndef ATTENTION_CLIENT_CONNECTIONS_H_
#define ATTENTION_CLIENT_CONNECTIONS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attention/v1/attention_service.grpc.pb.h"
#include "attention/v1/encoder_service.grpc.pb.h"
#include "attention/v1/layer_service.grpc.pb.h"
#include "client/channel.h"
#include "grpcpp/channel.h"

namespace attention::client {

// One connection of a client, and what calls over it.
struct Connection {
  explicit Connection(std::shared_ptr<grpc::Channel> over)
      : channel(std::move(over)),
        attention(v1::AttentionService::NewStub(channel)),
        encoder(v1::EncoderService::NewStub(channel)),
        layers(v1::LayerService::NewStub(channel)) {}

  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::AttentionService::Stub> attention;
  const std::unique_ptr<v1::EncoderService::Stub> encoder;
  const std::unique_ptr<v1::LayerService::Stub> layers;
  std::atomic<size_t> bytes = 0;  // of the requests of the calls that are in flight
};

// The connections of one client, over which its calls are shared out. Thread-safe. The lock is held
// from choosing a connection until the call's bytes are counted there, so that two calls do not
// both take the same room. Under it gRPC is asked for a channel's state; no other lock of ours is
// taken.
class Connections {
 public:
  // A call's place on a connection, for as long as this lives, which may be longer than the client.
  class Place {
   public:
    Place(std::shared_ptr<Connection> connection, size_t bytes)
        : connection_(std::move(connection)), bytes_(bytes) {
      connection_->bytes += bytes;
    }
    ~Place() { connection_->bytes -= bytes_; }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    Connection& operator*() const { return *connection_; }
    Connection* operator->() const { return connection_.get(); }

   private:
    const std::shared_ptr<Connection> connection_;
    const size_t bytes_;
  };

  // What a call counts for whose bytes are not known beforehand: it fills a connection.
  static constexpr size_t kManyBytes = size_t{1} << 20;

  // options.connections of them, which all show the same credentials. Connects nothing yet. Fails
  // as CreateChannel.
  static absl::StatusOr<std::unique_ptr<Connections>> Create(const ClientOptions& options,
                                                             const Credentials& credentials);

  // For a call whose request has so many bytes: the first connection that has little to send, or
  // that which has the least. Small calls so share one connection, whose segments and system calls
  // they share too. Where no server is serving, as far as is known, Unwatched(). For the second
  // attempt at a call, another connection than that of the first, `avoid`, where there is one.
  Place Take(size_t request_bytes, const Connection* avoid = nullptr);

  // The same for a call that is not made again: waits until it is known whether a server is
  // serving, or until `deadline`.
  Place TakeKnown(size_t request_bytes, absl::Time deadline);

  // To any server, whether it says that it is serving or not: one that is about to stop still does
  // for a while, and behind a proxy what is watched is but one of several.
  Connection& Unwatched() { return *unwatched_; }

 private:
  Connections() = default;
  // The one that a call of so many bytes goes over.
  const std::shared_ptr<Connection>& Choose(size_t request_bytes, const Connection* avoid) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // On it, or on unwatched_ where it knows of no server that is serving.
  Place PlaceOn(const std::shared_ptr<Connection>& chosen, size_t request_bytes);

  std::vector<std::shared_ptr<Connection>> connections_;  // as Create made them; so is the next
  std::shared_ptr<Connection> unwatched_;
  absl::Mutex mutex_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CONNECTIONS_H_
