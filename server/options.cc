#include "server/options.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/onednn/onednn_info.h"
#include "server/ops/log.h"
#include "server/ops/unix_socket.h"
#include "server/set_flags.h"

using attention::ServerOptions;

ABSL_FLAG(std::string, host, ServerOptions().host, "address to listen on; 0.0.0.0 or [::] for all");
ABSL_FLAG(int, port, ServerOptions().port,
          "port to listen on, 0 to 65535; 0 picks a free one and prints it; -1: no port, but "
          "--unix_socket alone");
ABSL_FLAG(std::string, unix_socket, ServerOptions().unix_socket,
          "path of a Unix socket to listen on as well, for clients on this machine "
          "(--target=unix:PATH), without TLS; in a folder that the server may write to; empty: "
          "none");
ABSL_FLAG(std::string, unix_socket_mode, "600",
          "who may connect to it, as the octal mode of its file: 600 the server's user, 660 its "
          "group too, 666 everybody who reaches its folder");

ABSL_FLAG(std::string, tls_cert, "",
          "PEM file with the server's certificate and those between it and its root; read again "
          "when it changes; empty: no TLS");
ABSL_FLAG(std::string, tls_key, "", "PEM file with its key");
ABSL_FLAG(std::string, tls_client_ca, "",
          "PEM file with the roots of the clients' certificates, which clients then must show");
ABSL_FLAG(bool, insecure, false, "listen beyond loopback without TLS");
ABSL_FLAG(std::string, policy, "",
          "JSON file with who may call what, an authorization policy of gRPC; needs TLS; empty: "
          "everybody may call everything");

ABSL_FLAG(int, max_streams, ServerOptions().max_streams,
          "calls and streams that one connection may have open");
ABSL_FLAG(int, max_metadata_kib, ServerOptions().max_metadata_kib,
          "most metadata that a call may bring, KiB");
ABSL_FLAG(double, keepalive_s, absl::ToDoubleSeconds(ServerOptions().keepalive),
          "seconds of silence after which a peer must answer a ping, or is dropped after 10 more");
ABSL_FLAG(double, max_stall_s, absl::ToDoubleSeconds(ServerOptions().max_stall),
          "seconds that a peer may take to read an answer, and one more for each MiB of it, or to "
          "send the next MiB of an upload; then its call is cancelled");
ABSL_FLAG(double, max_connection_idle_s, absl::ToDoubleSeconds(ServerOptions().max_connection_idle),
          "seconds without a call after which a connection is closed; 0: never");
ABSL_FLAG(double, max_connection_age_s, absl::ToDoubleSeconds(ServerOptions().max_connection_age),
          "seconds, give or take a tenth, after which a client has to connect again, so that load "
          "spreads over new servers; its calls have 10 minutes to finish; 0: never");

ABSL_FLAG(std::string, metrics_host, ServerOptions().metrics_host,
          "address for /metrics, /healthz and /readyz, over plain HTTP");
ABSL_FLAG(int, metrics_port, ServerOptions().metrics_port,
          "port for them, 0 to 65535; 0 picks a free one and logs it; -1: they are not served");

ABSL_FLAG(
    bool, insecure_metrics, false,
    "listen for them beyond loopback, without TLS, which they never have; --insecure says so too");

ABSL_FLAG(int, threads, ServerOptions().threads,
          "compute threads; 0: the CPUs that affinity mask and control group grant");
ABSL_FLAG(int64_t, max_batch_tokens, ServerOptions().max_batch_tokens,
          "tokens that waiting calls for the same layer and settings may have together to run as "
          "one batch; 0: each call runs alone");
ABSL_FLAG(double, max_queue_ms, absl::ToDoubleMilliseconds(ServerOptions().max_queue),
          "milliseconds that a call may have to wait for its turn; one that would wait longer is "
          "refused at once");

ABSL_FLAG(int64_t, memory_mib, ServerOptions().memory_mib,
          "memory that the process may take, MiB; 0: what the control group grants, or the machine "
          "has");
ABSL_FLAG(int64_t, max_queued_mib, ServerOptions().max_queued_mib,
          "of it, requests and responses of the calls in flight, MiB; 0: 5/16");
ABSL_FLAG(int64_t, max_working_mib, ServerOptions().max_working_mib,
          "of it, intermediate results of the calls that compute, MiB; 0: 3/16, at most 1024");
ABSL_FLAG(int64_t, layer_memory_mib, ServerOptions().layer_memory_mib,
          "of it, stored layers, MiB: the least recently used are let go and loaded again when "
          "called; 0: a quarter, or what the others leave");

ABSL_FLAG(int, max_message_mib, ServerOptions().max_message_mib,
          "largest request and largest response, MiB, 1 to 2047");
ABSL_FLAG(int64_t, max_tokens, ServerOptions().max_tokens,
          "most tokens in one call, over all its sequences");

ABSL_FLAG(std::string, layer_dir, ServerOptions().layer_dir,
          "folder in which layers are kept, which servers may share; empty: in memory only");

ABSL_FLAG(
    std::string, log_level, ServerOptions().log_level,
    "least severe lines to log: debug (one a call), info, warning (calls that fail) or error");

ABSL_FLAG(bool, channelz, ServerOptions().channelz,
          "serve gRPC's Channelz, which tells of connections and their calls");

ABSL_FLAG(double, lame_duck_s, absl::ToDoubleSeconds(ServerOptions().lame_duck),
          "seconds that a stopping server still takes calls while its health says NOT_SERVING");
ABSL_FLAG(double, drain_s, absl::ToDoubleSeconds(ServerOptions().drain),
          "seconds that a stopping server then waits for calls in flight; what is left is cut off");

ABSL_FLAG(std::string, config, "",
          "file with flags as a JSON object, e.g. {\"port\": 50051}; the command line counts more");
ABSL_FLAG(bool, help, false, "print how to use the program");
ABSL_FLAG(bool, version, false, "print the version");

namespace attention {
namespace {

constexpr char kUsage[] =
    R"(Serves attention over gRPC (attention.v1.AttentionService and EncoderService).

  attention_server [--host=ADDRESS] [--port=PORT] [--unix_socket=PATH] [FLAGS]

Prints `listening on HOST:PORT`, and `listening on unix:PATH` for a Unix socket, on standard
output once calls are welcome, and logs JSON lines on standard error. SIGTERM or SIGINT:
finishes the calls in flight and exits with 0; a second one does not wait for --lame_duck_s.
SIGHUP: reads --log_level from --config, the policy and the certificates again.
Exit codes: 0 stopped as asked, 1 cannot listen or cannot stop in time, 2 wrong usage.

Flags and their defaults:

)";

std::vector<FlagGroup> Groups() {
  return {{"Where it listens", {"host", "port", "unix_socket", "unix_socket_mode"}},
          {"Who may call", {"tls_cert", "tls_key", "tls_client_ca", "policy", "insecure"}},
          {"Connections",
           {"max_streams", "max_metadata_kib", "keepalive_s", "max_stall_s",
            "max_connection_idle_s", "max_connection_age_s"}},
          {"What operators see",
           {"metrics_host", "metrics_port", "insecure_metrics", "log_level", "channelz"}},
          {"Computing", {"threads", "max_batch_tokens", "max_queue_ms"}},
          {"Memory", {"memory_mib", "max_queued_mib", "max_working_mib", "layer_memory_mib"}},
          {"What a call may be", {"max_message_mib", "max_tokens"}},
          {"Stored layers", {"layer_dir"}},
          {"Stopping", {"lame_duck_s", "drain_s"}},
          {"The program", {"config", "help", "version"}}};
}

// The process has done what it was asked for.
// The first line is the program's version alone, for scripts.
std::string VersionText() {
  return absl::StrCat("attention_server " ATTENTION_VERSION "\noneDNN ", OnednnVersion(), " with ",
                      OnednnIsa(), "; products: ", OnednnProducts(), "\n");
}

[[noreturn]] void EndWith(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::exit(std::fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

absl::Status OutOfRange(absl::string_view flag, absl::string_view got, absl::string_view want) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " is ", got, "; want ", want));
}

// A flag that is a number, and what it may be.
struct Range {
  absl::string_view flag;
  double value;
  double least, most;
};

bool IsLoopback(absl::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || absl::StartsWith(host, "127.");
}

// That there is a way to call, and that the Unix socket can be one.
absl::Status CheckWhereItListens(const ServerOptions& options) {
  if (!options.unix_socket.empty()) return ops::CheckUnixSocketPath(options.unix_socket);
  if (options.port >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "--port is -1, and there is no --unix_socket: nobody could call; give one of them");
}

absl::Status CheckWhoMayCall(const ServerOptions& options) {
  const bool tls = !options.tls_cert.empty(), tcp = options.port >= 0;
  if (tls == options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls_cert and --tls_key go together");
  }
  if (!tls && !options.tls_client_ca.empty()) {
    return absl::InvalidArgumentError("--tls_client_ca needs --tls_cert and --tls_key");
  }
  if (tls && !tcp) {
    return absl::InvalidArgumentError(
        "--tls_cert is for TCP, and --port is -1: a Unix socket has no TLS, and its "
        "--unix_socket_mode says who may connect");
  }
  if (!tls && tcp && !options.policy.empty()) {
    return absl::InvalidArgumentError(
        "--policy needs --tls_cert and --tls_key: without TLS nobody can tell who calls");
  }
  if (!tls && tcp && !options.insecure && !IsLoopback(options.host)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--host is ", options.host,
                     ", which others can reach: give --tls_cert and --tls_key, or "
                     "--insecure where anyone who can connect may read and change everything"));
  }
  if (!options.insecure && !options.insecure_metrics && options.metrics_port >= 0 &&
      !IsLoopback(options.metrics_host)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics_host is ", options.metrics_host,
                     ", which others can reach, and metrics have no TLS: give --insecure_metrics "
                     "where anyone who can connect may read them"));
  }
  return absl::OkStatus();
}

// The value of a flag that is an octal file mode, such as 660.
absl::StatusOr<int> FileMode(absl::string_view flag, const std::string& text) {
  const bool is_octal = !text.empty() && text.find_first_not_of("01234567") == text.npos;
  const int mode = is_octal && text.size() <= 4 ? std::stoi(text, nullptr, 8) : 01000;
  if (mode < 01000) return mode;
  return OutOfRange(flag, text, "three octal digits, such as 660");
}

absl::Status Check(const ServerOptions& options) {
  if (options.host.empty()) return OutOfRange("host", "empty", "an address such as 127.0.0.1");
  if (absl::Status status = CheckWhereItListens(options); !status.ok()) return status;
  if (absl::Status status = CheckWhoMayCall(options); !status.ok()) return status;
  if (!ops::ParseSeverity(options.log_level).has_value()) {
    return OutOfRange("log_level", options.log_level, "debug, info, warning or error");
  }
  constexpr double kMostMib = 1 << 24, kMostSeconds = 1e6;
  const Range ranges[] = {
      {"port", 1.0 * options.port, -1, 65535},
      {"max_streams", 1.0 * options.max_streams, 1, 1 << 20},
      {"max_metadata_kib", 1.0 * options.max_metadata_kib, 1, 1 << 14},
      {"keepalive_s", absl::ToDoubleSeconds(options.keepalive), 1, kMostSeconds},
      {"max_stall_s", absl::ToDoubleSeconds(options.max_stall), 0.1, kMostSeconds},
      {"max_connection_idle_s", absl::ToDoubleSeconds(options.max_connection_idle), 0,
       kMostSeconds},
      {"max_connection_age_s", absl::ToDoubleSeconds(options.max_connection_age), 0, kMostSeconds},
      {"metrics_port", 1.0 * options.metrics_port, -1, 65535},
      {"threads", 1.0 * options.threads, 0, 4096},
      {"max_batch_tokens", 1.0 * options.max_batch_tokens, 0, 1 << 30},
      {"max_queue_ms", absl::ToDoubleMilliseconds(options.max_queue), 1, kMostSeconds * 1000},
      {"memory_mib", 1.0 * options.memory_mib, 0, kMostMib},
      {"max_queued_mib", 1.0 * options.max_queued_mib, 0, kMostMib},
      {"max_working_mib", 1.0 * options.max_working_mib, 0, kMostMib},
      {"layer_memory_mib", 1.0 * options.layer_memory_mib, 0, kMostMib},
      {"max_message_mib", 1.0 * options.max_message_mib, 1, 2047},
      {"max_tokens", 1.0 * options.max_tokens, 1, 1 << 30},
      {"lame_duck_s", absl::ToDoubleSeconds(options.lame_duck), 0, kMostSeconds},
      {"drain_s", absl::ToDoubleSeconds(options.drain), 0, kMostSeconds},
  };
  for (const Range& range : ranges) {
    if (range.value >= range.least && range.value <= range.most) continue;
    return OutOfRange(range.flag, absl::StrCat(range.value),
                      absl::StrCat(range.least, " to ", range.most));
  }
  return absl::OkStatus();
}

// The command line, and before it the file that it names.
absl::Status SetAllFlags(absl::Span<const char* const> arguments) {
  absl::Status status = SetFlags(arguments);
  const std::string file = absl::GetFlag(FLAGS_config);
  if (!status.ok() || file.empty()) return status;
  status = SetFlagsFromFile(file, {"config", "help", "version"});
  return status.ok() ? SetFlags(arguments) : status;
}

}  // namespace

absl::StatusOr<ServerOptions> OptionsFromCommandLine(int argc, char** argv) {
  ResetFlags();  // when read again, what the file no longer names has its default
  const auto arguments = absl::MakeConstSpan(argv, static_cast<size_t>(argc)).subspan(1);
  if (absl::Status status = SetAllFlags(arguments); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(status.message(), "; see --help"));
  }
  if (absl::GetFlag(FLAGS_help)) EndWith(kUsage + DescribeFlags(Groups()));
  if (absl::GetFlag(FLAGS_version)) EndWith(VersionText());
  const auto unix_socket_mode = FileMode("unix_socket_mode", absl::GetFlag(FLAGS_unix_socket_mode));
  if (!unix_socket_mode.ok()) return unix_socket_mode.status();
  ServerOptions options = {
      .host = absl::GetFlag(FLAGS_host),
      .port = absl::GetFlag(FLAGS_port),
      .unix_socket = absl::GetFlag(FLAGS_unix_socket),
      .unix_socket_mode = *unix_socket_mode,
      .tls_cert = absl::GetFlag(FLAGS_tls_cert),
      .tls_key = absl::GetFlag(FLAGS_tls_key),
      .tls_client_ca = absl::GetFlag(FLAGS_tls_client_ca),
      .insecure = absl::GetFlag(FLAGS_insecure),
      .policy = absl::GetFlag(FLAGS_policy),
      .max_streams = absl::GetFlag(FLAGS_max_streams),
      .max_metadata_kib = absl::GetFlag(FLAGS_max_metadata_kib),
      .keepalive = absl::Seconds(absl::GetFlag(FLAGS_keepalive_s)),
      .max_stall = absl::Seconds(absl::GetFlag(FLAGS_max_stall_s)),
      .max_connection_idle = absl::Seconds(absl::GetFlag(FLAGS_max_connection_idle_s)),
      .max_connection_age = absl::Seconds(absl::GetFlag(FLAGS_max_connection_age_s)),
      .metrics_host = absl::GetFlag(FLAGS_metrics_host),
      .metrics_port = absl::GetFlag(FLAGS_metrics_port),
      .insecure_metrics = absl::GetFlag(FLAGS_insecure_metrics),
      .threads = absl::GetFlag(FLAGS_threads),
      .max_batch_tokens = absl::GetFlag(FLAGS_max_batch_tokens),
      .max_queue = absl::Milliseconds(absl::GetFlag(FLAGS_max_queue_ms)),
      .memory_mib = absl::GetFlag(FLAGS_memory_mib),
      .max_queued_mib = absl::GetFlag(FLAGS_max_queued_mib),
      .max_working_mib = absl::GetFlag(FLAGS_max_working_mib),
      .layer_memory_mib = absl::GetFlag(FLAGS_layer_memory_mib),
      .max_message_mib = absl::GetFlag(FLAGS_max_message_mib),
      .max_tokens = absl::GetFlag(FLAGS_max_tokens),
      .layer_dir = absl::GetFlag(FLAGS_layer_dir),
      .log_level = absl::GetFlag(FLAGS_log_level),
      .channelz = absl::GetFlag(FLAGS_channelz),
      .lame_duck = absl::Seconds(absl::GetFlag(FLAGS_lame_duck_s)),
      .drain = absl::Seconds(absl::GetFlag(FLAGS_drain_s))};
  if (absl::Status status = Check(options); !status.ok()) return status;
  return options;
}

}  // namespace attention
