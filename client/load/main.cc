// The load tester. This file reads the flags; load/load_test.h does the work.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "client/load/load_report.h"
#include "client/load/load_test.h"
#include "client/programs/freed_memory.h"
#include "client/programs/parse_flags.h"

using attention::client::LoadOptions;
using attention::client::LoadRun;

ABSL_FLAG(std::vector<std::string>, target, LoadOptions().targets,
          "servers, HOST:PORT or unix:PATH,...");
ABSL_FLAG(int, connections, LoadOptions().connections, "connections to each server");
ABSL_FLAG(std::string, tls_ca, "", "PEM file with the roots of the servers' certificates");
ABSL_FLAG(std::string, tls_cert, "", "PEM file with this client's certificate");
ABSL_FLAG(std::string, tls_key, "", "PEM file with its key");
ABSL_FLAG(std::string, tls_server_name, "", "name in the servers' certificates");
ABSL_FLAG(std::vector<std::string>, callers, {"8"}, "callers of a closed loop, N,...");
ABSL_FLAG(std::vector<std::string>, rate, {}, "calls a second of an open loop, X,...");
ABSL_FLAG(double, warm_up_s, absl::ToDoubleSeconds(LoadOptions().warm_up),
          "seconds that do not count");
ABSL_FLAG(double, duration_s, absl::ToDoubleSeconds(LoadOptions().duration), "seconds that do");
ABSL_FLAG(double, timeout_s, absl::ToDoubleSeconds(LoadOptions().timeout),
          "seconds that a call may take");
ABSL_FLAG(bool, retry, false, "make calls that fail again, over other connections");
ABSL_FLAG(std::string, layer, "", "a stored layer or encoder to call");
ABSL_FLAG(int64_t, width, LoadOptions().width, "numbers of a token, where no layer says it");
ABSL_FLAG(std::string, lengths, "8", "tokens of a call");
ABSL_FLAG(bool, scores, false, "ask for scores and weights beside the output");
ABSL_FLAG(int, distinct_calls, LoadOptions().distinct_calls, "calls that differ");
ABSL_FLAG(uint64_t, seed, LoadOptions().seed, "of all that is drawn by chance");
ABSL_FLAG(double, cancelled_share, 0, "share of calls that are cancelled on the way");
ABSL_FLAG(double, invalid_share, 0, "share of calls that are wrong and must be refused");
ABSL_FLAG(bool, verify, false, "compare each answer's bytes with those of the call alone");
ABSL_FLAG(int, server_pid, 0, "the server's process on this machine, to watch");
ABSL_FLAG(bool, json, false, "print one JSON object a run");
ABSL_FLAG(std::string, csv, "", "file for a line a run");
ABSL_FLAG(std::string, html, "", "file for a page with plots");
ABSL_FLAG(bool, progress, isatty(STDERR_FILENO) == 1, "tell each second on standard error");
ABSL_FLAG(bool, help, false, "print how to use the program");
ABSL_FLAG(bool, version, false, "print the version");

namespace {

constexpr char kUsage[] = R"(Loads attention servers and measures how they answer.

  attention_loadtest [--callers=N,... | --rate=CALLS_PER_SECOND,...] [FLAG...]

A closed loop (--callers=8, the default) shows what the servers can do: each caller calls again as
soon as the answer is there. An open loop (--rate) shows what users meet: calls come by chance
(Poisson) whether the others are answered or not, and a call's latency counts from when it was to
begin, so that no stall is hidden. Several numbers make several runs, one after the other.

  --target=HOST:PORT,...     the servers, which calls go round; default localhost:50051. Or unix:PATH
  --connections=N            to each of them; default 1
  --tls_ca=FILE --tls_cert=FILE --tls_key=FILE --tls_server_name=NAME   as attention_client
  --warm_up_s=S --duration_s=S   seconds that do not count, and then those that do; default 1 and 10
  --timeout_s=S              the deadline of each call; default 60
  --retry                    calls that fail are made again as the C++ client does it, over other
                             connections where there are some: servers that stand for each other

  --layer=NAME               a stored layer or encoder is called; default: the simplified attention
  --width=N                  of tokens of so many numbers; default 64
  --lengths=TEXT             tokens of a call: 128, uniform:1-512, lognormal:MEDIAN,DEVIATION,MOST
                             or file:PATH; default 8
  --scores                   scores and weights are asked for too
  --distinct_calls=N --seed=N   so many calls are made before the test and sent over and over;
                             default 32 and 1

  --cancelled_share=X --invalid_share=X   shares of the calls, 0 to 1
  --verify                   every answer has to have the bytes that the call got alone before the
                             test; those of the simplified attention are checked by own arithmetic
  --server_pid=PID           tells the CPU time and memory of a server on this machine
  --json                     prints a JSON object for each run, a line each
  --csv=FILE --html=FILE     writes a line for each run; a page with plots, which needs no network
  --progress, --noprogress   tells each second on standard error how it goes; default: on a terminal
  --help, --version

Exit codes: 0 measured; 1 nothing could be measured, or calls failed for other reasons than
RESOURCE_EXHAUSTED; 2 the command line is wrong.
)";

constexpr int kFailed = 1, kUsageError = 2;

int UsageError(const absl::Status& status) {
  std::fprintf(stderr, "attention_loadtest: %s\nattention_loadtest --help tells more\n",
               std::string(status.message()).c_str());
  return kUsageError;
}

// Parses the numbers of a flag that is a list.
absl::StatusOr<std::vector<double>> Numbers(absl::string_view flag,
                                            const std::vector<std::string>& texts) {
  std::vector<double> numbers;
  for (const std::string& text : texts) {
    double number = 0;
    if (!absl::SimpleAtod(text, &number) || !(number > 0) || !std::isfinite(number)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag, " has `", text, "`; want numbers above 0"));
    }
    numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<LoadOptions> CommonOptions() {
  absl::StatusOr<attention::client::Lengths> lengths =
      attention::client::Lengths::Parse(absl::GetFlag(FLAGS_lengths));
  if (!lengths.ok()) return lengths.status();
  LoadOptions options = {.targets = absl::GetFlag(FLAGS_target),
                         .connections = absl::GetFlag(FLAGS_connections),
                         .warm_up = absl::Seconds(absl::GetFlag(FLAGS_warm_up_s)),
                         .duration = absl::Seconds(absl::GetFlag(FLAGS_duration_s)),
                         .timeout = absl::Seconds(absl::GetFlag(FLAGS_timeout_s)),
                         .retry = absl::GetFlag(FLAGS_retry),
                         .layer = absl::GetFlag(FLAGS_layer),
                         .width = absl::GetFlag(FLAGS_width),
                         .lengths = *std::move(lengths),
                         .only_output = !absl::GetFlag(FLAGS_scores),
                         .distinct_calls = absl::GetFlag(FLAGS_distinct_calls),
                         .seed = absl::GetFlag(FLAGS_seed),
                         .cancelled_share = absl::GetFlag(FLAGS_cancelled_share),
                         .invalid_share = absl::GetFlag(FLAGS_invalid_share),
                         .verify = absl::GetFlag(FLAGS_verify),
                         .server_pid = absl::GetFlag(FLAGS_server_pid)};
  const attention::client::TlsFiles tls = {.ca = absl::GetFlag(FLAGS_tls_ca),
                                           .certificate = absl::GetFlag(FLAGS_tls_cert),
                                           .key = absl::GetFlag(FLAGS_tls_key),
                                           .server_name = absl::GetFlag(FLAGS_tls_server_name)};
  if (!(tls.ca + tls.certificate + tls.server_name).empty()) options.tls = tls;
  return options;
}

// Returns the options of each run: the common ones, with the rate or the callers of the run.
absl::StatusOr<std::vector<LoadOptions>> OptionsFromFlags() {
  const absl::StatusOr<LoadOptions> common = CommonOptions();
  if (!common.ok()) return common.status();
  const auto rates = Numbers("rate", absl::GetFlag(FLAGS_rate));
  const auto callers = Numbers("callers", absl::GetFlag(FLAGS_callers));
  for (const auto& numbers : {rates, callers}) {
    if (!numbers.ok()) return numbers.status();
  }
  if (rates->empty() && callers->empty()) {
    return absl::InvalidArgumentError("want --callers or --rate, of at least one run");
  }
  std::vector<LoadOptions> runs;
  for (const double number : rates->empty() ? *callers : *rates) {
    LoadOptions& options = runs.emplace_back(*common);
    if (rates->empty()) {
      options.callers = static_cast<int>(std::min(number, 1e6));
      if (options.callers != number) {
        return absl::InvalidArgumentError("--callers are whole numbers up to 1000000");
      }
    } else {
      options.rate = number;
    }
    absl::Status status = attention::client::CheckLoadOptions(options);
    if (!status.ok()) return status;
  }
  return runs;
}

// An output file, opened before anything is measured so that errors show early.
class OutputFile {
 public:
  explicit OutputFile(std::string path) : path_(std::move(path)) {
    if (!path_.empty()) out_.open(path_, std::ios::binary);
  }
  // Returns whether everything was written, or no file was asked for.
  bool ok() { return path_.empty() || static_cast<bool>(out_.flush()); }
  void Write(const std::string& text) { out_ << text; }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  std::ofstream out_;
};

void TellProgress(absl::Duration since_start, const attention::client::LoadProgress& last) {
  std::fprintf(stderr, "%s\n", attention::client::LoadProgressText(since_start, last).c_str());
}

int Load() {
  const absl::StatusOr<std::vector<LoadOptions>> options = OptionsFromFlags();
  if (!options.ok()) return UsageError(options.status());
  OutputFile csv(absl::GetFlag(FLAGS_csv)), html(absl::GetFlag(FLAGS_html));
  for (OutputFile* const file : {&csv, &html}) {
    if (!file->ok()) {
      return UsageError(absl::InvalidArgumentError(absl::StrCat("cannot write ", file->path())));
    }
  }
  std::vector<LoadRun> runs;
  bool failed = false;
  for (const LoadOptions& of_run : *options) {
    absl::StatusOr<LoadRun> run = attention::client::RunLoadTest(
        of_run, absl::GetFlag(FLAGS_progress) ? &TellProgress : attention::client::OnProgress());
    if (!run.ok()) {
      std::fprintf(stderr, "attention_loadtest: %s\n", run.status().ToString().c_str());
      failed = true;
      break;  // earlier runs are still reported
    }
    const std::string text = absl::GetFlag(FLAGS_json) ? attention::client::LoadJson(*run)
                                                       : attention::client::LoadText(*run);
    std::fprintf(stdout, "%s%s", runs.empty() || absl::GetFlag(FLAGS_json) ? "" : "\n",
                 text.c_str());
    failed = std::fflush(stdout) != 0 || failed || !run->result.failures.empty();
    runs.push_back(*std::move(run));
  }
  csv.Write(attention::client::LoadCsv(runs));
  if (!runs.empty()) html.Write(attention::client::LoadPage(runs));
  return failed || !csv.ok() || !html.ok() ? kFailed : EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);  // gRPC reports errors as statuses as well
  attention::client::KeepFreedMemory();
  // Debian's Abseil searches for deadlocks, which would cost the callers more time than their
  // calls.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const auto rest = attention::client::ParseFlags(
      absl::MakeConstSpan(argv, static_cast<size_t>(argc)).subspan(1));
  if (!rest.ok()) return UsageError(rest.status());
  if (!rest->empty()) {
    return UsageError(absl::InvalidArgumentError(absl::StrCat("unexpected argument ", (*rest)[0])));
  }
  if (absl::GetFlag(FLAGS_help) || absl::GetFlag(FLAGS_version)) {
    std::fputs(absl::GetFlag(FLAGS_help) ? kUsage : "attention_loadtest " ATTENTION_VERSION "\n",
               stdout);
    return EXIT_SUCCESS;
  }
  return Load();
}
