#ifndef ATTENTION_CLIENT_CHANNEL_H_
#define ATTENTION_CLIENT_CHANNEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/retries.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/status.h"

namespace attention::client {

// Files in PEM form for connections over TLS.
struct TlsFiles {
  std::string ca = "";  // root certificates for the server; empty: those that the system trusts
  std::string certificate = "";  // of this client, if the server wants one
  std::string key = "";          // of the certificate; set both or neither
  // The name that the server's certificate must have, if it is not the target's host.
  std::string server_name = "";
};

// The largest message that protobuf takes: one byte less than 2 GiB.
inline constexpr int64_t kMostMessageBytes = INT32_MAX;

// Where the server is, and how long to wait for it.
struct ClientOptions {
  // HOST:PORT, or another address that gRPC knows, such as unix:/run/attention.sock.
  std::string target = "localhost:50051";
  // The time from the start of a call until its answer is complete; above 0. Raise it for calls
  // that compute for minutes. absl::InfiniteDuration() waits for ever.
  absl::Duration timeout = absl::Seconds(60);
  // When a call that failed is made again, within the same timeout. A call that changes layers is
  // never made again.
  RetryOptions retries = {};
  // Connections to the target, 1 to 64, each made when it is first needed. Small calls share the
  // first one. A large call, which fills a connection alone, takes the connection that has the
  // fewest bytes to send. A connection carries about 1 GB/s and keeps one core busy.
  int connections = 4;
  // If the target is a name for several servers, servers that report NOT_SERVING over
  // grpc.health.v1 get no calls as long as another one is serving. The health service is watched on
  // each connection; a server without it counts as serving.
  bool health_checks = true;
  // If a call of ComputeAttention or Encode has no answer after this time, it is made once more,
  // and the first answer counts. A good choice is the time that the slowest twentieth of calls
  // exceeds. Uses the budget of `retries`. At most a day; by default it is never done.
  absl::Duration hedge_after = absl::InfiniteDuration();
  // The most bytes of a request, and of all tensors of an answer together, 1 to kMostMessageBytes.
  // While a message is sent or received it takes twice this memory, because gRPC has a copy of it.
  int64_t max_message_bytes = kMostMessageBytes;
  // If not set, the connection is plain text, which anyone on the way can read and change.
  std::optional<TlsFiles> tls = std::nullopt;
};

// Whether channels to the same target share one connection or have one each.
enum class ConnectionKind { kShared, kOwn };

using Credentials = std::shared_ptr<grpc::ChannelCredentials>;

// Reads the files once, so that all channels with these credentials have the same identity even if
// the files are replaced meanwhile. INVALID_ARGUMENT if a file cannot be read, or if only one of
// certificate and key is given.
absl::StatusOr<Credentials> ReadCredentials(const std::optional<TlsFiles>& tls);

// Makes a channel, which connects at its first call; `credentials` are those of options.tls. Calls
// go to the addresses of a name in turn. INVALID_ARGUMENT if the target is empty, or if a timeout,
// hedge_after, connections or max_message_bytes is out of its range.
absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(
    const ClientOptions& options, const Credentials& credentials,
    ConnectionKind kind = ConnectionKind::kShared);

// Explains why a call over `channel` to `target` failed: FromGrpcStatus, with advice added where
// the client knows better than the server what to do.
absl::Status ExplainFailure(const grpc::Status& status, grpc::Channel& channel,
                            absl::string_view target);

// Returns whether a call failed with `failure` because there was no connection to send it over.
bool WasNeverSent(const absl::Status& failure);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CHANNEL_H_
