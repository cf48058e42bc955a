#include "server/options.h"

#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

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
ABSL_FLAG(absl::Duration, drain, attention::ServerOptions().drain,
          "how long a stopping server waits for calls in flight, e.g. 30s");

namespace attention {
namespace {

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
  if (options.drain < absl::ZeroDuration()) {
    return OutOfRange("drain", absl::FormatDuration(options.drain), "at least 0s");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ServerOptions> OptionsFromCommandLine(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "serves attention over gRPC (attention.v1.AttentionService).\n\n"
      "  attention_server [--host=ADDRESS] [--port=PORT] [FLAGS]\n\n"
      "Prints `listening on HOST:PORT` on standard output once calls are welcome, and logs JSON\n"
      "lines on standard error. SIGTERM or SIGINT: finishes the calls in flight and exits with 0.\n"
      "Exit codes: 0 stopped as asked, 1 cannot listen or cannot stop in time, 2 wrong usage.");
  absl::FlagsUsageConfig config;
  config.version_string = [] { return absl::StrCat("attention_server ", ATTENTION_VERSION, "\n"); };
  config.contains_help_flags = config.contains_helppackage_flags = [](absl::string_view file) {
    return absl::StrContains(file, "server/options.cc");
  };
  absl::SetFlagsUsageConfig(config);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument `", rest[1], "`; see --help"));
  }
  ServerOptions options = {.host = absl::GetFlag(FLAGS_host),
                           .port = absl::GetFlag(FLAGS_port),
                           .threads = absl::GetFlag(FLAGS_threads),
                           .max_message_mib = absl::GetFlag(FLAGS_max_message_mib),
                           .max_working_mib = absl::GetFlag(FLAGS_max_working_mib),
                           .max_tokens = absl::GetFlag(FLAGS_max_tokens),
                           .drain = absl::GetFlag(FLAGS_drain)};
  if (absl::Status status = Check(options); !status.ok()) return status;
  return options;
}

}  // namespace attention
