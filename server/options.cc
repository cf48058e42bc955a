#include "server/options.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"

ABSL_FLAG(int, port, attention::ServerOptions().port,
          "port to listen on, 0 to 65535; 0 picks a free one and prints it");
ABSL_FLAG(std::string, host, attention::ServerOptions().host,
          "address to listen on; 0.0.0.0 or [::] for all (there is no authentication)");
ABSL_FLAG(int, threads, attention::ServerOptions().threads,
          "compute threads; 0: the CPUs that affinity mask and control group grant");
ABSL_FLAG(int, max_message_mib, attention::ServerOptions().max_message_mib,
          "largest request and largest response, MiB, 1 to 2047");
ABSL_FLAG(int, max_working_mib, attention::ServerOptions().max_working_mib,
          "most memory that one call may take for intermediate results, MiB; 0: 1024, or half of "
          "what the control group grants where that is less");
ABSL_FLAG(int64_t, max_tokens, attention::ServerOptions().max_tokens,
          "most tokens in one call, over all its sequences");
ABSL_FLAG(std::string, layer_dir, attention::ServerOptions().layer_dir,
          "folder in which layers are kept, which servers may share; empty: in memory only");
ABSL_FLAG(
    int64_t, layer_memory_mib, attention::ServerOptions().layer_memory_mib,
    "most memory that stored layers may take, MiB; the least recently used are let go and "
    "loaded again when called; 0: a quarter of what the control group grants or the machine has");
ABSL_FLAG(absl::Duration, drain, attention::ServerOptions().drain,
          "how long a stopping server waits for calls in flight, e.g. 30s");
ABSL_FLAG(bool, help, false, "print how to use the program");
ABSL_FLAG(bool, version, false, "print the version");

namespace attention {
namespace {

constexpr char kUsage[] = R"(Serves attention over gRPC (attention.v1.AttentionService).

  attention_server [--host=ADDRESS] [--port=PORT] [FLAGS]

Prints `listening on HOST:PORT` on standard output once calls are welcome, and logs JSON
lines on standard error. SIGTERM or SIGINT: finishes the calls in flight and exits with 0.
Exit codes: 0 stopped as asked, 1 cannot listen or cannot stop in time, 2 wrong usage.

Flags and their defaults:

)";

std::string Help() {
  std::string text = kUsage;
  const auto flags = absl::GetAllFlags();
  for (const auto& [name, flag] : std::map(flags.begin(), flags.end())) {
    const std::string value = flag->IsOfType<bool>() ? "" : absl::StrCat("=", flag->DefaultValue());
    absl::StrAppend(&text, "  --", name, value, "\n      ", flag->Help(), "\n");
  }
  return text;
}

// The process has done what it was asked for.
[[noreturn]] void EndWith(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::exit(std::fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

// Sets the flags above: --name=value, --name value, and for truth values --name alone.
//
// absl::ParseCommandLine would end the process with exit code 1, which here says that the server
// cannot listen, for a flag that does not parse and even for --help.
absl::Status SetFlags(absl::Span<const char* const> arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view name = arguments[i];
    if (!absl::ConsumePrefix(&name, "-")) {
      return absl::InvalidArgumentError(absl::StrCat("unexpected argument `", name, "`"));
    }
    absl::ConsumePrefix(&name, "-");
    const size_t equals = name.find('=');
    std::string value = equals == name.npos ? "" : std::string(name.substr(equals + 1));
    absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(name.substr(0, equals));
    if (flag == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("there is no flag ", arguments[i]));
    }
    if (equals == name.npos && flag->IsOfType<bool>()) {
      value = "true";
    } else if (equals == name.npos) {
      if (++i == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
      }
      value = arguments[i];
    }
    std::string error;  // repeats the value and the name, and does not say what would do
    if (!flag->ParseFrom(value, &error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag->Name(), " cannot be `", value, "`; it is: ", flag->Help()));
    }
  }
  return absl::OkStatus();
}

absl::Status OutOfRange(absl::string_view flag, absl::string_view got, absl::string_view want) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " is ", got, "; want ", want));
}

absl::Status Check(const ServerOptions& options) {
  if (options.port < 0 || options.port > 65535) {
    return OutOfRange("port", absl::StrCat(options.port), "0 to 65535");
  }
  if (options.host.empty()) return OutOfRange("host", "empty", "an address such as 127.0.0.1");
  if (options.threads < 0 || options.threads > 4096) {
    return OutOfRange("threads", absl::StrCat(options.threads), "0 to 4096");
  }
  if (options.max_message_mib < 1 || options.max_message_mib > 2047) {
    return OutOfRange("max_message_mib", absl::StrCat(options.max_message_mib), "1 to 2047");
  }
  if (options.max_working_mib < 0) {
    return OutOfRange("max_working_mib", absl::StrCat(options.max_working_mib),
                      "at least 1, or 0 for the default");
  }
  if (options.max_tokens < 1 || options.max_tokens > (int64_t{1} << 30)) {
    return OutOfRange("max_tokens", absl::StrCat(options.max_tokens), "1 to 2^30");
  }
  if (options.layer_memory_mib < 0 || options.layer_memory_mib > (int64_t{1} << 40)) {
    return OutOfRange("layer_memory_mib", absl::StrCat(options.layer_memory_mib),
                      "at least 1, or 0 for the default");
  }
  if (options.drain < absl::ZeroDuration()) {
    return OutOfRange("drain", absl::FormatDuration(options.drain), "at least 0s");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ServerOptions> OptionsFromCommandLine(int argc, char** argv) {
  const auto arguments = absl::MakeConstSpan(argv, static_cast<size_t>(argc)).subspan(1);
  if (absl::Status status = SetFlags(arguments); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(status.message(), "; see --help"));
  }
  if (absl::GetFlag(FLAGS_help)) EndWith(Help());
  if (absl::GetFlag(FLAGS_version)) EndWith("attention_server " ATTENTION_VERSION "\n");
  ServerOptions options = {.host = absl::GetFlag(FLAGS_host),
                           .port = absl::GetFlag(FLAGS_port),
                           .threads = absl::GetFlag(FLAGS_threads),
                           .max_message_mib = absl::GetFlag(FLAGS_max_message_mib),
                           .max_working_mib = absl::GetFlag(FLAGS_max_working_mib),
                           .max_tokens = absl::GetFlag(FLAGS_max_tokens),
                           .layer_dir = absl::GetFlag(FLAGS_layer_dir),
                           .layer_memory_mib = absl::GetFlag(FLAGS_layer_memory_mib),
                           .drain = absl::GetFlag(FLAGS_drain)};
  if (absl::Status status = Check(options); !status.ok()) return status;
  return options;
}

}  // namespace attention
