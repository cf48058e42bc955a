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
  std::string ca = "";  // roots of the server's certificate; empty: those that the system trusts
  std::string certificate = "";  // of this client, where the server wants one, and
  std::string key = "";          // its key; both or neither
  // The name that the server's certificate must have, where that is not the target's host.
  std::string server_name = "";
};

// The largest message that protobuf takes: 2 GiB less a byte.
inline constexpr int64_t kMostMessageBytes = INT32_MAX;

// Where the server is, and how long to wait for it.
struct ClientOptions {
  // HOST:PORT, or another address that gRPC knows, such as unix:/run/attention.sock.
  std::string target = "localhost:50051";
  // From the start of a call until its answer is complete; above 0. Raise it for calls that compute
  // for minutes. absl::InfiniteDuration() waits for ever.
  absl::Duration timeout = absl::Seconds(60);
  // When a call that failed is made again, within the same timeout; never one that changes layers.
  RetryOptions retries = {};
  // Connections to the target, 1 to 64, each made when it is first needed. Small calls share the
  // first one; large ones, which fill one alone, go over that which has the fewest bytes to send. A
  // connection carries about 1 GB/s and is the work of one core.
  int connections = 4;
  // Where a name stands for several servers: no calls for those that say NOT_SERVING over
  // grpc.health.v1, which is watched on each connection, as long as another is serving. A server
  // without that service counts as serving.
  bool health_checks = true;
  // Where a call of ComputeAttention or Encode has no answer after so long, it is made once more,
  // and the first answer counts; the time that one call in twenty takes is a good choice. Goes by
  // the budget of `retries`. At most a day; default: never.
  absl::Duration hedge_after = absl::InfiniteDuration();
  // The largest request, and what an answer's tensors may have in all, bytes, 1 to
  // kMostMessageBytes. A message takes twice as much memory on its way: it, and gRPC's copy.
  int64_t max_message_bytes = kMostMessageBytes;
  // None: plain text, which anyone on the way can read and change.
  std::optional<TlsFiles> tls = std::nullopt;
};

// Whether channels to the same target send over one connection or each over its own.
enum class ConnectionKind { kShared, kOwn };

using Credentials = std::shared_ptr<grpc::ChannelCredentials>;

// Reads the files, so that all channels with these credentials are of one identity, whenever the
// files are replaced. INVALID_ARGUMENT: a file that cannot be read, a certificate without its key.
absl::StatusOr<Credentials> ReadCredentials(const std::optional<TlsFiles>& tls);

// A channel, which connects with its first call; `credentials` are those of options.tls. The
// addresses of a name share its calls in turn. INVALID_ARGUMENT: an empty target, a timeout or a
// time of hedging that is not above 0, connections or max_message_bytes out of their range.
absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(
    const ClientOptions& options, const Credentials& credentials,
    ConnectionKind kind = ConnectionKind::kShared);

// How a call over `channel` to `target` failed: as FromGrpcStatus, with advice where this end knows
// better than the server what to do.
absl::Status ExplainFailure(const grpc::Status& status, grpc::Channel& channel,
                            absl::string_view target);

// Whether a call failed with `failure` since there was no connection to send it over.
bool WasNeverSent(const absl::Status& failure);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CHANNEL_H_
