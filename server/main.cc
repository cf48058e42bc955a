// The program attention_server: reads its flags, starts a server, waits for SIGTERM, and lets the
// calls in flight finish.
#include <signal.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "absl/synchronization/mutex.h"
#include "kernels/onednn/onednn_info.h"
#include "server/host/cpu_budget.h"
#include "server/ops/freed_memory.h"
#include "server/ops/log.h"
#include "server/options.h"
#include "server/server.h"

namespace {

using attention::ops::Log;
using attention::ops::Severity;

sigset_t SetOf(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

// What can change while the server runs. Other flags keep their values.
void Reload(attention::Server& server, int argc, char** argv) {
  const absl::StatusOr<attention::ServerOptions> options =
      attention::OptionsFromCommandLine(argc, argv);
  absl::Status status = options.status();
  if (status.ok()) attention::ops::SetLogLevel(*attention::ops::ParseSeverity(options->log_level));
  status.Update(server.Reload());
  if (status.ok()) return Log(Severity::kInfo, "reloaded", nlohmann::ordered_json::object());
  Log(Severity::kError, "cannot_reload", {{"error", std::string(status.message())}});
}

// Until a signal asks the server to stop, and which one; `signals` are blocked.
int WaitForStop(attention::Server& server, const sigset_t& signals, int argc, char** argv) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGHUP) return signal;
    Reload(server, argc, argv);
  }
}

// Until `most` has passed, or one of the blocked `signals` says not to wait.
void WaitFor(absl::Duration most, const sigset_t& signals) {
  const timespec timeout = absl::ToTimespec(most);
  sigtimedwait(&signals, nullptr, &timeout);
}

void LogStart(const attention::Server& server, const attention::ServerOptions& options) {
  Log(Severity::kInfo, "started",
      {{"version", ATTENTION_VERSION},
       {"address", server.address()},
       {"unix_socket", options.unix_socket},
       {"tls", !options.tls_cert.empty()},
       {"metrics_address", server.metrics_address()},
       {"isa", attention::OnednnIsa()},
       {"onednn", attention::OnednnVersion()},
       {"products", attention::OnednnProducts()},
       {"threads", server.threads()},
       {"max_message_mib", options.max_message_mib},
       {"max_queued_mib", server.memory().messages >> 20},
       {"max_working_mib", server.memory().working >> 20},
       {"layer_memory_mib", server.memory().layers >> 20},
       {"max_tokens", options.max_tokens},
       {"layer_dir", options.layer_dir},
       {"lame_duck_s", absl::ToDoubleSeconds(options.lame_duck)},
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
  attention::ops::LogLibraries();
  attention::ops::KeepFreedMemory(attention::engine::CpuBudget());
  // Debian builds Abseil with its search for deadlocks on, which costs more than many a lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const sigset_t stop = SetOf({SIGTERM, SIGINT}), all = SetOf({SIGTERM, SIGINT, SIGHUP});
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // before any thread starts, so that this one waits
  const auto server = attention::Server::Start(*options);
  if (!server.ok()) {
    Log(Severity::kError, "cannot_start", {{"error", std::string(server.status().message())}});
    return EXIT_FAILURE;
  }
  LogStart(**server, *options);
  LogDamagedLayers(**server);
  attention::ops::FlushLog();  // who reads the line below finds those above
  for (const std::string& address : {(*server)->address(), (*server)->unix_address()}) {
    if (!address.empty()) std::printf("listening on %s\n", address.c_str());
  }
  std::fflush(stdout);

  const int signal = WaitForStop(**server, all, argc, argv);
  Log(Severity::kInfo, "stopping", {{"signal", signal == SIGINT ? "SIGINT" : "SIGTERM"}});
  (*server)->LeaveRotation();
  WaitFor(options->lame_duck, stop);
  const absl::Status stopped = (*server)->Stop();
  if (!stopped.ok()) {
    Log(Severity::kError, "stopped", {{"error", std::string(stopped.message())}});
    return EXIT_FAILURE;
  }
  Log(Severity::kInfo, "stopped", nlohmann::ordered_json::object());
  return EXIT_SUCCESS;
}
