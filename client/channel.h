#ifndef ATTENTION_CLIENT_CHANNEL_H_
#define ATTENTION_CLIENT_CHANNEL_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/retries.h"
#include "grpcpp/channel.h"

namespace attention::client {

// Files in PEM form for connections over TLS.
struct TlsFiles {
  std::string ca = "";  // roots of the server's certificate; empty: those that the system trusts
  std::string certificate = "";  // of this client, where the server wants one, and
  std::string key = "";          // its key; both or neither
  // The name that the server's certificate must have, where that is not the target's host.
  std::string server_name = "";
};

// Where the server is, and how long to wait for it.
struct ClientOptions {
  // HOST:PORT, or another address that gRPC knows, such as unix:/run/attention.sock.
  std::string target = "localhost:50051";
  // From the start of a call until its answer is complete; above 0. Raise it for calls that compute
  // for minutes. absl::InfiniteDuration() waits for ever.
  absl::Duration timeout = absl::Seconds(60);
  // When a call that failed is made again, within the same timeout. Uploads are not.
  RetryOptions retries = {};
  // None: plain text, which anyone on the way can read and change.
  std::optional<TlsFiles> tls = std::nullopt;
};

// Whether channels to the same target send over one connection or each over its own.
enum class Connection { kShared, kOwn };

// A channel for messages of any size, which connects with its first call. INVALID_ARGUMENT: an
// empty target, a timeout that is not above 0, a TLS file that cannot be read.
absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(
    const ClientOptions& options, Connection connection = Connection::kShared);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CHANNEL_H_
