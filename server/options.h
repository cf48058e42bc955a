#ifndef ATTENTION_SERVER_OPTIONS_H_
#define ATTENTION_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attention {

// How a server runs. main() fills it from flags, tests by hand.
struct ServerOptions {
  // The address to listen on. Loopback unless others are to reach the server: it has no
  // authentication.
  std::string host = "127.0.0.1";
  // 0 to 65535; 0 picks a free port.
  int port = 50051;
  // Compute threads; 0: what affinity mask and control group grant (engine::CpuBudget).
  int threads = 0;
  // The largest request and the largest response, MiB, 1 to 2047. Raise it for long sequences whose
  // scores are wanted.
  int max_message_mib = 64;
  // The most memory one call may take for intermediate results, MiB. 0: 1024, or half of the memory
  // that the control group grants where that is less (engine::MemoryBudget).
  int max_working_mib = 0;
  // The most tokens in one call, counted over its sequences; bounds how long a call can compute.
  int64_t max_tokens = 131072;
  // The folder in which layers are kept; servers may share one. Empty: in memory, until the server
  // ends.
  std::string layer_dir = "";
  // The most memory that stored layers may take, MiB. 0: a quarter of what the control group grants
  // or the machine has (engine::LayerMemoryBudget).
  int64_t layer_memory_mib = 0;
  // How long a stopping server waits for calls in flight; those that are not through by then are
  // cut off.
  absl::Duration drain = absl::Seconds(30);
};

// Reads the command line. INVALID_ARGUMENT, with words for the user, where there is no such flag, a
// value does not parse or is out of range, or an argument is left over. --help and --version print
// and end the process with exit code 0.
absl::StatusOr<ServerOptions> OptionsFromCommandLine(int argc, char** argv);

}  // namespace attention

#endif  // ATTENTION_SERVER_OPTIONS_H_
