#include "client/channel.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call_status.h"
#include "grpc/grpc.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"

namespace attention::client {
namespace {

// A gRPC server closes a connection that pings more often than every 5 minutes while there is
// nothing to send (GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS), so this is longer.
constexpr absl::Duration kKeepaliveTime = absl::Minutes(6);
constexpr int kMostConnections = 64;
// How long a ping may stay unanswered. gRPC sets the same limit for bytes that TCP has sent without
// a confirmation, so if the machine of a server vanishes, this is noticed within that time.
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(20);

absl::StatusOr<std::string> ReadTlsFile(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError(absl::StrCat("cannot read the TLS file ", path));
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

// Calls go to the addresses of a name in turn; with the health check only to those that are serving
// (gRFC A17).
constexpr char kBalanced[] = R"({"loadBalancingConfig": [{"round_robin": {}}]})";
constexpr char kBalancedByHealth[] =
    R"({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})";

grpc::ChannelArguments TensorChannelArguments(const ClientOptions& options) {
  // Answers, and parts of an upload, are a little larger than their tensors.
  constexpr int64_t kEnvelopeBytes = 4096;
  const auto limit =
      static_cast<int>(std::min(options.max_message_bytes + kEnvelopeBytes, kMostMessageBytes));
  grpc::ChannelArguments arguments;
  // By default gRPC would refuse answers above 4 MiB, such as scores of 1024 x 1024 tokens.
  arguments.SetMaxReceiveMessageSize(limit);
  arguments.SetMaxSendMessageSize(limit);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(kKeepaliveTime)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(kKeepaliveTimeout)));
  arguments.SetServiceConfigJSON(options.health_checks ? kBalancedByHealth : kBalanced);
  // We make retries ourselves (retries.h). With gRPC's own, headers or trailers without grpc-status
  // end the process, because gRPC reads the value of an empty optional (seen with 1.51.1;
  // retry_filter.cc).
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // The target is reached directly, because an http_proxy for web pages seldom supports HTTP/2.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

// gRPC ends its threads when the last channel and server of the process are destroyed. It then
// waits up to 10 seconds for the thread that polls while a large message is written (seen with gRPC
// 1.51.1 and calls of 12 MiB). One reference that is never released keeps the threads, so that no
// destructor waits.
void KeepGrpcThreads() { [[maybe_unused]] static const bool kept = (grpc_init(), true); }

absl::Status CheckAboveZero(absl::string_view name, absl::Duration duration) {
  if (duration > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", absl::FormatDuration(duration), "; want more than 0"));
}

absl::Status CheckOptions(const ClientOptions& options) {
  if (options.target.empty()) {
    return absl::InvalidArgumentError("target is empty; want HOST:PORT, as in localhost:50051");
  }
  if (options.connections < 1 || options.connections > kMostConnections) {
    return absl::InvalidArgumentError(
        absl::StrCat("connections is ", options.connections, "; want 1 to ", kMostConnections));
  }
  if (options.max_message_bytes < 1 || options.max_message_bytes > kMostMessageBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_message_bytes is ", options.max_message_bytes, "; want 1 to ", kMostMessageBytes));
  }
  absl::Status status = CheckAboveZero("timeout", options.timeout);
  status.Update(CheckAboveZero("hedge_after", options.hedge_after));
  if (options.hedge_after > absl::Hours(24) && options.hedge_after != absl::InfiniteDuration()) {
    status.Update(absl::InvalidArgumentError("hedge_after is above a day; want less, or infinity"));
  }
  return status;
}

}  // namespace

absl::StatusOr<Credentials> ReadCredentials(const std::optional<TlsFiles>& tls) {
  if (!tls.has_value()) return grpc::InsecureChannelCredentials();
  if (tls->certificate.empty() != tls->key.empty()) {
    return absl::InvalidArgumentError("a TLS certificate needs its key, and a key its certificate");
  }
  absl::StatusOr<std::string> roots = ReadTlsFile(tls->ca);
  if (!roots.ok()) return roots.status();
  absl::StatusOr<std::string> key = ReadTlsFile(tls->key);
  if (!key.ok()) return key.status();
  absl::StatusOr<std::string> certificate = ReadTlsFile(tls->certificate);
  if (!certificate.ok()) return certificate.status();
  return grpc::SslCredentials({*std::move(roots), *std::move(key), *std::move(certificate)});
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(const ClientOptions& options,
                                                             const Credentials& credentials,
                                                             ConnectionKind kind) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  KeepGrpcThreads();
  grpc::ChannelArguments arguments = TensorChannelArguments(options);
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  if (kind == ConnectionKind::kOwn) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(options.target, credentials, arguments);
}

bool WasNeverSent(const absl::Status& failure) {
  // These are gRPC's messages for one connection, and for a name with several addresses.
  return absl::IsUnavailable(failure) &&
         (absl::StrContains(failure.message(), "failed to connect to all addresses") ||
          absl::StrContains(failure.message(), "connections to all backends failing"));
}

absl::Status ExplainFailure(const grpc::Status& status, grpc::Channel& channel,
                            absl::string_view target) {
  const absl::Status result = FromGrpcStatus(status);
  const grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/false);
  const bool connected =
      state != GRPC_CHANNEL_TRANSIENT_FAILURE && state != GRPC_CHANNEL_CONNECTING;
  if (absl::IsUnavailable(result) && absl::StrContains(result.message(), "unhealthy")) {
    return WithHint(result, absl::StrCat("the server at ", target, " says that it is not serving"));
  }
  if (absl::IsUnavailable(result) && !connected && absl::StartsWith(target, "unix:")) {
    return WithHint(result, absl::StrCat("no connection to ", target,
                                         ": is attention_server running with --unix_socket there, "
                                         "and does --unix_socket_mode let this user connect?"));
  }
  if (absl::IsUnavailable(result) && !connected) {
    return WithHint(result, absl::StrCat("no connection to ", target,
                                         ": is attention_server running there, and is the target "
                                         "the HOST:PORT that it prints when it starts?"));
  }
  if (absl::IsDeadlineExceeded(result) && !connected) {
    return WithHint(result, absl::StrCat("no connection to ", target,
                                         " in that time: is the host right, and does a firewall "
                                         "let the port through?"));
  }
  // gRPC's own message, which may come from the client or the server.
  if (absl::IsResourceExhausted(result) && absl::StrContains(result.message(), "larger than max")) {
    return WithHint(result,
                    "start the server, and this client where it has a limit, with a larger "
                    "--max_message_mib, or ask for fewer results, for some queries only "
                    "(query_indices) or send a smaller batch");
  }
  return result;
}

}  // namespace attention::client
