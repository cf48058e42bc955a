// The command-line client. This file reads the flags; commands.h does the work.

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/cli/commands/commands.h"
#include "client/cli/commands/completion_bash.h"
#include "client/programs/parse_flags.h"

ABSL_FLAG(std::string, target, "localhost:50051", "the server's HOST:PORT, or unix:PATH");
ABSL_FLAG(bool, tls, false, "connect over TLS, and trust the roots that the system trusts");
ABSL_FLAG(std::string, tls_ca, "",
          "connect over TLS, and trust the roots in this PEM file and no others");
ABSL_FLAG(std::string, tls_cert, "", "PEM file with this client's certificate");
ABSL_FLAG(std::string, tls_key, "", "PEM file with its key");
ABSL_FLAG(std::string, tls_server_name, "",
          "name in the server's certificate, where it is not the target's host");
ABSL_FLAG(absl::Duration, timeout, absl::ZeroDuration(),
          "how long to wait for the answer, as in 90s or 5m; 0: 60s, 2s for health, 1h for layers");
ABSL_FLAG(int, max_message_mib, 64, "largest request and largest answer, MiB, 1 to 2047");
ABSL_FLAG(bool, json, false, "attend, encode, layers: print the response as protobuf JSON");
ABSL_FLAG(std::string, words, "", "attend, encode, explain: names of the tokens, by spaces");
ABSL_FLAG(std::string, color, "auto", "explain: auto, always or never");
ABSL_FLAG(std::string, html, "", "explain: file for a page to click through");
ABSL_FLAG(std::string, png, "", "explain: file for a picture");
ABSL_FLAG(std::string, save, "",
          "attend, encode: file for all tensors, .npy, .npz or .safetensors");
ABSL_FLAG(bool, progress, isatty(STDERR_FILENO) == 1, "layers upload: a bar on standard error");
ABSL_FLAG(std::string, service, "", "health: a full service name; empty: the server as a whole");
ABSL_FLAG(bool, watch, false, "health: tell each change, until the server is gone");
ABSL_FLAG(std::string, http, "", "health: HOST:PORT of the server's --metrics_port, asked instead");
ABSL_FLAG(bool, help, false, "print how to use the program");
ABSL_FLAG(bool, version, false, "print the version");

namespace {

using attention::client::CommandOptions;
using attention::client::ExitCode;
using attention::client::Shading;

constexpr char kUsage[] = R"(Calls an attention server.

  attention_client attend FILE.json... compute; print scores, weights, outputs ... as tables; several
                                       files go over one stream, printed as they are answered
  attention_client explain FILE.json   compute; draw the attention weights as a heat map and name
                                       what each word attends to most
  attention_client encode FILE.json    run a stored encoder; print hidden states and pooled vectors
  attention_client layers list         stored layers; also get NAME[@VERSION], upload NAME FOLDER (with
                                       model.safetensors and config.json), upload NAME MODEL CONFIG,
                                       create FILE.json (random weights), delete NAME[@VERSION]
  attention_client health              is the server there and serving?
  attention_client completion          for bash: source <(attention_client completion)

FILE.json, or - for standard input, is one JSON object:

  {
    "title": "jim likes football",                   optional
    "words": ["jim", "likes"],                       optional: names of the query tokens
    "context_words": ["football", "swimming"],       optional: names of the key tokens, if others
    "request": {                                     an attention.v1.ComputeAttentionRequest
      "tokens": {"tokens": [[0.1, 0.2], [0.6, 0.7]]},
      "config": {"scale": 1, "normalization": "SUM"},
      "results": ["OUTPUT", "ATTENTION_WEIGHTS"]
    }
  }

The request is protobuf JSON, in which nested arrays of numbers (or of true and false) may stand for
tensors, or the name of an array in a file, such as "tokens.npy", "layer.npz:q_proj" or
"model.safetensors:q_proj", which goes into the message as it is; enum values may leave out their
prefix. client/samples/ has one file a tutorial.
For a stored encoder "encode", an attention.v1.EncodeRequest, stands in place of "request"; explain
then draws every layer and head.

  --target=HOST:PORT         the server; default localhost:50051. Or its Unix socket, unix:PATH
  --tls                      connect over TLS; or, with what is needed of these:
  --tls_ca=FILE              roots of the server's certificate, PEM; default: the system's
  --tls_cert=FILE --tls_key=FILE   this client's certificate and key, PEM
  --tls_server_name=NAME     name in the server's certificate, where it is not the target's host
  --timeout=DURATION         how long to wait for the answer, as in 90s or 5m; default 60s, 2s for
                             health, 1h for layers
  --max_message_mib=N        largest request and largest answer, MiB, 1 to 2047; default 64, as the
                             server's own, which has to be raised with it
  --json                     attend, encode, layers: print the response as protobuf JSON, tensors as
                             float_values unless the file says "result_format": "BYTES"
  --save=FILE                attend, encode: writes all tensors that came back to a .npz or .safetensors
                             file, or the only one to a .npy file, and prints nothing else
  --words="the cat sat"      names of the tokens, in place of the file's
  --color=auto|always|never  explain: 24-bit colours; auto: on a terminal, unless NO_COLOR is set
  --html=FILE                explain: writes a page for the browser instead: heat map or lines, by
                             layer and head, and the arithmetic of each cell
  --png=FILE                 explain: writes the heat maps as a picture instead
  --progress, --noprogress   layers upload: a bar on standard error; default: on a terminal
  --service=NAME             health: of one service, as in attention.v1.AttentionService; default:
                             of the server as a whole
  --watch                    health: prints the state now and whenever it changes
  --http=HOST:PORT           health: asks http://HOST:PORT/readyz instead, of --metrics_port
  --help, --version

Exit codes: 0 all is well; 1 the server refused the call or failed, or its answer cannot be written; 2
the command line or the file is wrong; 3 no server there, or not serving.
)";

// Long enough for a server that is busy computing, short enough for a container's HEALTHCHECK.
constexpr absl::Duration kHealthTimeout = absl::Seconds(2);
// Models of many gigabytes may be sent over slow networks.
constexpr absl::Duration kLayersTimeout = absl::Hours(1);

// protobuf's limit in whole MiB.
constexpr int kMostMessageMib = attention::client::kMostMessageBytes >> 20;

ExitCode UsageError(absl::string_view what) {
  std::cerr << "attention_client: " << what << "\nattention_client --help tells more\n";
  return attention::client::kExitUsage;
}

bool SetAndNotEmpty(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

// The variable NO_COLOR (https://no-color.org) turns off colours that were not asked for
// explicitly.
absl::StatusOr<Shading> ChooseShading(const std::string& color) {
  if (color == "always") return Shading::kColor;
  if (color == "never") return Shading::kCharacters;
  if (color != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("--color is \"", color, "\"; want auto, always or never"));
  }
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal != nullptr && absl::string_view(terminal) == "dumb";
  const bool color_welcome = isatty(STDOUT_FILENO) == 1 && !SetAndNotEmpty("NO_COLOR") && !dumb;
  return color_welcome ? Shading::kColor : Shading::kCharacters;
}

// TLS is used if any of its flags is set.
std::optional<attention::client::TlsFiles> Tls() {
  attention::client::TlsFiles files = {.ca = absl::GetFlag(FLAGS_tls_ca),
                                       .certificate = absl::GetFlag(FLAGS_tls_cert),
                                       .key = absl::GetFlag(FLAGS_tls_key),
                                       .server_name = absl::GetFlag(FLAGS_tls_server_name)};
  const bool any = !(files.ca + files.certificate + files.key + files.server_name).empty();
  if (!any && !absl::GetFlag(FLAGS_tls)) return std::nullopt;
  return files;
}

// Makes the options of `command` from the flags. INVALID_ARGUMENT if a flag is wrong.
absl::StatusOr<CommandOptions> OptionsFromFlags(const std::string& command) {
  CommandOptions options;
  options.client.target = absl::GetFlag(FLAGS_target);
  options.client.tls = Tls();
  const int max_message_mib = absl::GetFlag(FLAGS_max_message_mib);
  if (max_message_mib < 1 || max_message_mib > kMostMessageMib) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max_message_mib is ", max_message_mib, "; want 1 to ", kMostMessageMib));
  }
  options.client.max_message_bytes = int64_t{max_message_mib} << 20;
  options.json = absl::GetFlag(FLAGS_json);
  options.service = absl::GetFlag(FLAGS_service);
  options.html = absl::GetFlag(FLAGS_html);
  options.png = absl::GetFlag(FLAGS_png);
  options.save = absl::GetFlag(FLAGS_save);
  options.progress = absl::GetFlag(FLAGS_progress);
  options.watch = absl::GetFlag(FLAGS_watch);
  options.http = absl::GetFlag(FLAGS_http);
  options.words = absl::StrSplit(absl::GetFlag(FLAGS_words), ' ', absl::SkipEmpty());
  if (command == "health") options.client.timeout = kHealthTimeout;
  if (command == "layers") options.client.timeout = kLayersTimeout;
  if (const absl::Duration timeout = absl::GetFlag(FLAGS_timeout);
      timeout != absl::ZeroDuration()) {
    options.client.timeout = timeout;
  }
  const absl::StatusOr<Shading> shading = ChooseShading(absl::GetFlag(FLAGS_color));
  if (!shading.ok()) return shading.status();
  options.shading = *shading;
  return options;
}

ExitCode PrintCompletion(const CommandOptions& /*options*/, std::ostream& out,
                         std::ostream& /*err*/) {
  out << attention::client::kCompletion;
  return attention::client::kExitOk;
}

// A command, and how many words it takes after its name.
struct Command {
  absl::string_view name;
  size_t least, most;
  ExitCode (*run)(const CommandOptions& options, std::ostream& out, std::ostream& err);
};
constexpr size_t kAnyNumber = std::numeric_limits<size_t>::max();
constexpr Command kCommands[] = {{"attend", 1, kAnyNumber, &attention::client::RunAttend},
                                 {"explain", 1, 1, &attention::client::RunExplain},
                                 {"encode", 1, 1, &attention::client::RunEncode},
                                 {"layers", 0, kAnyNumber, &attention::client::RunLayers},
                                 {"health", 0, 0, &attention::client::RunHealth},
                                 {"completion", 0, kAnyNumber, &PrintCompletion}};

ExitCode RunCommand(const std::vector<std::string>& words) {
  constexpr char kNames[] = "attend, explain, encode, layers, health or completion";
  if (words.empty()) return UsageError(absl::StrCat("want a command: ", kNames));
  const auto* const command = std::find_if(std::begin(kCommands), std::end(kCommands),
                                           [&](const Command& c) { return c.name == words[0]; });
  if (command == std::end(kCommands)) {
    return UsageError(absl::StrCat("there is no command \"", words[0], "\"; want ", kNames));
  }
  absl::StatusOr<CommandOptions> options = OptionsFromFlags(words[0]);
  if (!options.ok()) return UsageError(options.status().message());
  const size_t given = words.size() - 1;
  if (given < command->least || given > command->most) {
    const char* const takes = given < command->least ? " takes a FILE"
                              : command->most == 0   ? " takes no FILE"
                                                     : " takes one FILE";
    return UsageError(absl::StrCat(words[0], takes));
  }
  options->arguments.assign(words.begin() + 1, words.end());
  if (given > 0) options->file = words[1];
  if (given > 1) options->more_files.assign(words.begin() + 2, words.end());
  return command->run(*options, std::cout, std::cerr);
}

ExitCode Run(absl::Span<const char* const> arguments) {
  const absl::StatusOr<std::vector<std::string>> words = attention::client::ParseFlags(arguments);
  if (!words.ok()) return UsageError(words.status().message());
  if (absl::GetFlag(FLAGS_help)) {
    std::cout << kUsage;
    return attention::client::kExitOk;
  }
  if (absl::GetFlag(FLAGS_version)) {
    std::cout << "attention_client " ATTENTION_VERSION "\n";
    return attention::client::kExitOk;
  }
  return RunCommand(*words);
}

}  // namespace

int main(int argc, char** argv) try {
  // gRPC reports errors as the status of a call as well, so its log is turned off.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const ExitCode exit_code = Run(absl::MakeConstSpan(argv, static_cast<size_t>(argc)).subspan(1));
  if (!std::cout.flush()) {
    std::cerr << "attention_client: cannot write to standard output\n";
    return attention::client::kExitFailed;
  }
  return exit_code;
} catch (const std::exception& error) {
  std::cerr << "attention_client: " << error.what() << "\n";
  return attention::client::kExitFailed;
}
