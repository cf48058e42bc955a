#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "kernels/onednn_info.h"
#include "server/ops/log.h"
#include "server/options.h"
#include "server/server.h"

namespace {

using attention::ops::Log;
using attention::ops::Severity;

// The signals that ask the server to stop; blocked in all threads, so that one can wait for them.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void LogStart(const attention::Server& server, const attention::ServerOptions& options) {
  Log(Severity::kInfo, "started",
      {{"version", ATTENTION_VERSION},
       {"address", server.address()},
       {"metrics_address", server.metrics_address()},
       {"isa", attention::OnednnIsa()},
       {"onednn", attention::OnednnVersion()},
       {"threads", server.threads()},
       {"max_message_mib", options.max_message_mib},
       {"max_queued_mib", server.memory().messages >> 20},
       {"max_working_mib", server.memory().working >> 20},
       {"layer_memory_mib", server.memory().layers >> 20},
       {"max_tokens", options.max_tokens},
       {"layer_dir", options.layer_dir},
       {"drain_s", absl::ToDoubleSeconds(options.drain)}});
}

// Layers that cannot be used are told of once, when the server starts; ListLayers shows them too.
void LogDamagedLayers(attention::Server& server) {
  const auto all = server.layers().List();
  if (!all.ok()) return Log(Severity::kError, "layers", {{"error", all.status().ToString()}});
  for (const auto& listed : *all) {
    if (listed.layer != nullptr) continue;
    Log(Severity::kError, "damaged_layer",
        {{"name", listed.name},
         {"version", listed.version},
         {"error", std::string(listed.problem.message())}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kUsage = 2;
  const absl::StatusOr<attention::ServerOptions> options =
      attention::OptionsFromCommandLine(argc, argv);
  if (!options.ok()) {
    std::fprintf(stderr, "attention_server: %s\n", std::string(options.status().message()).c_str());
    return kUsage;
  }
  attention::ops::SetLogLevel(*attention::ops::ParseSeverity(options->log_level));
  const sigset_t signals = BlockStopSignals();  // before any thread starts
  const auto server = attention::Server::Start(*options);
  if (!server.ok()) {
    Log(Severity::kError, "cannot_start", {{"error", std::string(server.status().message())}});
    return EXIT_FAILURE;
  }
  LogStart(**server, *options);
  LogDamagedLayers(**server);
  std::printf("listening on %s\n", (*server)->address().c_str());
  std::fflush(stdout);

  int signal = 0;
  sigwait(&signals, &signal);
  Log(Severity::kInfo, "stopping", {{"signal", signal == SIGINT ? "SIGINT" : "SIGTERM"}});
  const absl::Status stopped = (*server)->Stop();
  if (!stopped.ok()) {
    Log(Severity::kError, "stopped", {{"error", std::string(stopped.message())}});
    return EXIT_FAILURE;
  }
  Log(Severity::kInfo, "stopped", nlohmann::ordered_json::object());
  return EXIT_SUCCESS;
}
