#ifndef ATTENTION_CLIENT_CONNECTIONS_H_
#define ATTENTION_CLIENT_CONNECTIONS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.grpc.pb.h"
#include "attention/v1/layer_service.grpc.pb.h"
#include "client/channel.h"
#include "grpcpp/channel.h"

namespace attention::client {

// One connection of a client, and what calls over it.
struct Connection {
  explicit Connection(std::shared_ptr<grpc::Channel> over)
      : channel(std::move(over)),
        attention(v1::AttentionService::NewStub(channel)),
        layers(v1::LayerService::NewStub(channel)) {}

  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::AttentionService::Stub> attention;
  const std::unique_ptr<v1::LayerService::Stub> layers;
  std::atomic<size_t> bytes = 0;  // of the requests of the calls that are in flight
};

// The connections of one client, over which its calls are shared out. Thread-safe.
class Connections {
 public:
  // A call's place on a connection, for as long as this lives.
  class Place {
   public:
    Place(Connection& connection, size_t bytes) : connection_(connection), bytes_(bytes) {
      connection.bytes += bytes;
    }
    ~Place() { connection_.bytes -= bytes_; }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    Connection& operator*() const { return connection_; }
    Connection* operator->() const { return &connection_; }

   private:
    Connection& connection_;
    const size_t bytes_;
  };

  // options.connections of them. Connects nothing yet. Fails as CreateChannel.
  static absl::StatusOr<std::unique_ptr<Connections>> Create(const ClientOptions& options);

  // For a call whose request has so many bytes: the first connection that has little to send, or
  // that which has the least. Small calls so share one connection, whose segments and system calls
  // they share too. Where no server is serving, as far as is known, Unwatched().
  Place Take(size_t request_bytes);

  // To any server, whether it says that it is serving or not: one that is about to stop still does
  // for a while, and behind a proxy what is watched is but one of several.
  Connection& Unwatched() { return *unwatched_; }

 private:
  Connections() = default;

  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<Connection> unwatched_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CONNECTIONS_H_
