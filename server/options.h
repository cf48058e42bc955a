#ifndef ATTENTION_SERVER_OPTIONS_H_
#define ATTENTION_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attention {

// How a server runs. main() fills it from flags, tests by hand.
struct ServerOptions {
  // The address to listen on. Loopback unless others are to reach the server.
  std::string host = "127.0.0.1";
  // 0 to 65535; 0 picks a free port; -1: not over TCP, and then there is a unix_socket.
  int port = 50051;
  // The path of a Unix socket to listen on as well, at most 107 bytes; empty: none. Whoever may
  // write to it, by unix_socket_mode and the rights of its folder, may connect, without TLS.
  std::string unix_socket = "";
  int unix_socket_mode = 0600;

  // PEM files for TLS; all empty: plain text. tls_client_ca: clients must show a certificate of it.
  std::string tls_cert = "";
  std::string tls_key = "";
  std::string tls_client_ca = "";
  // Plain text also where others than this machine can connect.
  bool insecure = false;
  // The file with who may call what (ops::Policy), which needs tls_cert; empty: everybody
  // everything.
  std::string policy = "";

  // Calls and streams that one connection may have open.
  int max_streams = 1024;
  // The headers of one call.
  int max_metadata_kib = 16;
  // After a silence as long as `keepalive` a peer must answer a ping; one that has had no call for
  // `max_connection_idle`, or is connected for `max_connection_age` (give or take a tenth, so that
  // not all come back at once), is asked to connect again when it has something to call.
  absl::Duration keepalive = absl::Seconds(30);
  // How long a peer may take to read an answer (a second more for each MiB), or to send the next
  // MiB of an upload, before its call is cancelled. Raise it for clients behind slow lines.
  absl::Duration max_stall = absl::Seconds(30);
  absl::Duration max_connection_idle = absl::Minutes(10);
  absl::Duration max_connection_age = absl::Minutes(30);

  // Where metrics and health are served over plain HTTP: -1 nowhere, 0 on a free port.
  std::string metrics_host = "127.0.0.1";
  int metrics_port = -1;
  bool insecure_metrics = false;  // also where others than this machine can connect

  // Compute threads; 0: what affinity mask and control group grant (engine::CpuBudget).
  int threads = 0;
  // Tokens that calls for the same layer and settings may have together to run as one batch; 0:
  // every call runs alone.
  int64_t max_batch_tokens = 1024;
  // A call whose turn would come later than this is refused. Raise it for calls that compute for
  // long.
  absl::Duration max_queue = absl::Seconds(5);

  // What the process may take, MiB. 0: what the control group grants, or the machine has. The parts
  // below come out of it (engine::PlanMemory).
  int64_t memory_mib = 0;
  // What requests and responses of the calls in flight may take, MiB. 0: 5/16 of memory_mib, but
  // enough for the largest call.
  int64_t max_queued_mib = 0;
  // What the calls that compute may take for intermediate results, MiB. 0: 1024, or 3/16 of
  // memory_mib where that is less.
  int64_t max_working_mib = 0;
  // What stored layers may take, MiB. 0: a quarter of memory_mib, or what the others leave.
  int64_t layer_memory_mib = 0;

  // The largest request and the largest response, MiB, 1 to 2047. Raise it for long sequences whose
  // scores are wanted.
  int max_message_mib = 64;
  // The most tokens in one call, counted over its sequences; bounds how long a call can compute.
  int64_t max_tokens = 131072;

  // The folder in which layers are kept; servers may share one. Empty: in memory, until the server
  // ends.
  std::string layer_dir = "";

  // The least severe lines that are logged: "debug" (one a call), "info", "warning" or "error".
  std::string log_level = "info";
  // Whether gRPC's Channelz service tells of connections and their calls.
  bool channelz = false;

  // How long a stopping server goes on as before, but for its health, so that those who watch it
  // have time to turn elsewhere.
  absl::Duration lame_duck = absl::ZeroDuration();
  // How long a stopping server then waits for calls in flight; those that are not through by then
  // are cut off.
  absl::Duration drain = absl::Seconds(30);
};

// Reads the command line, and the file that --config names: a JSON object of flags. What the
// command line says counts more. INVALID_ARGUMENT, with words for the user, where there is no such
// flag, a value does not parse or is out of range, or an argument is left over. --help and
// --version print and end the process with exit code 0.
absl::StatusOr<ServerOptions> OptionsFromCommandLine(int argc, char** argv);

}  // namespace attention

#endif  // ATTENTION_SERVER_OPTIONS_H_
