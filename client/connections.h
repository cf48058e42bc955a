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

// One connection of a client, and the stubs that call over it.
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
  std::atomic<size_t> bytes = 0;  // of the requests that are in flight
};

// The connections of one client, over which its calls are shared out. Thread-safe. The lock is held
// from choosing a connection until the call's bytes are counted there, so that two calls do not
// both take the same room. Under it gRPC is asked for a channel's state; no other lock of ours is
// taken.
class Connections {
 public:
  // Counts the bytes of a call on a connection as long as it lives, which may be longer than the
  // client.
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

  // The bytes that are counted for a call whose size is not known beforehand: enough to fill a
  // connection.
  static constexpr size_t kManyBytes = size_t{1} << 20;

  // Makes options.connections connections with the same credentials. None of them is connected yet.
  // Fails as CreateChannel.
  static absl::StatusOr<std::unique_ptr<Connections>> Create(const ClientOptions& options,
                                                             const Credentials& credentials);

  // Chooses a connection for a call whose request has this number of bytes: the first connection
  // that has little to send, or else the one that has the least. So small calls share one
  // connection, and with it segments and system calls. If no server is known to be serving, it
  // chooses Unwatched(). The second attempt at a call passes the connection of the first as
  // `avoid`, and gets another one if there is one.
  Place Take(size_t request_bytes, const Connection* avoid = nullptr);

  // The same for a call that is never made again. Waits until it is known whether a server is
  // serving, at most until `deadline`.
  Place TakeKnown(size_t request_bytes, absl::Time deadline);

  // A connection to any server, whether it reports that it is serving or not. A server that is
  // about to stop still answers for a while, and behind a proxy the health of only one of several
  // servers is watched.
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
