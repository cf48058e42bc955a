#include "client/cli/commands/commands.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/call_status.h"
#include "client/cli/commands/command_output.h"
#include "client/cli/commands/http_health.h"
#include "client/cli/commands/stream_files.h"
#include "client/cli/display_text.h"
#include "client/cli/files/array_file.h"
#include "client/cli/files/request_file.h"
#include "client/cli/files/result_tensors.h"
#include "client/cli/files/token_names.h"
#include "client/cli/views/attend_view.h"
#include "client/cli/views/attention_maps.h"
#include "client/cli/views/explain_page.h"
#include "client/cli/views/explain_picture.h"
#include "client/cli/views/explain_view.h"

namespace attention::client {
namespace {

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

void PrintTitle(const RequestFile& file, std::ostream& out) {
  if (!file.title.empty()) out << EscapeControls(file.title) << "\n\n";
}

// Checks, before anything is computed, whether a file can be written at `path`; "" means that no
// file is wanted.
absl::Status CheckOutput(const std::string& path) {
  namespace fs = std::filesystem;
  if (path.empty()) return absl::OkStatus();
  if (fs::is_directory(path)) return Wrong(absl::StrCat(path, " is a folder"));
  const fs::path folder = fs::path(path).parent_path();
  const std::string place = fs::exists(path) ? path : folder.empty() ? "." : folder.string();
  if (access(place.c_str(), W_OK) == 0) return absl::OkStatus();
  return Wrong(absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

absl::Status CheckOutputs(const CommandOptions& options) {
  absl::Status status = options.save.empty() ? absl::OkStatus() : CheckArrayPath(options.save);
  for (const std::string& path : {options.save, options.html, options.png}) {
    status.Update(CheckOutput(path));
  }
  return status;
}

ExitCode TellWritten(const absl::Status& status, const std::string& path, std::ostream& out,
                     std::ostream& err) {
  if (!status.ok()) return ReportFailure(status, err);
  out << "wrote " << path << "\n";
  return kExitOk;
}

ExitCode WriteFile(const absl::StatusOr<std::string>& bytes, const std::string& path,
                   std::ostream& out, std::ostream& err) {
  if (!bytes.ok()) return ReportFailure(bytes.status(), err);
  std::ofstream file(path, std::ios::binary);
  const bool written = static_cast<bool>(file << *bytes << std::flush);
  return TellWritten(
      written ? absl::OkStatus() : absl::DataLossError(absl::StrCat("cannot write ", path)), path,
      out, err);
}

absl::StatusOr<std::string> FormatAll(const RequestFile& file,
                                      const v1::ComputeAttentionResponse& response) {
  return FormatResults(response, NamesFor(file));
}

absl::StatusOr<std::string> FormatAll(const RequestFile& file, const v1::EncodeResponse& response) {
  return FormatResults(response, file.words);
}

// JSON is read by people and scripts, so results are numbers unless the request asks for bytes.
template <typename Request>
void AskForNumbers(const CommandOptions& options, Request& request) {
  if (options.json && request.result_format() == v1::RESULT_FORMAT_UNSPECIFIED) {
    request.set_result_format(v1::RESULT_FORMAT_FLOAT_VALUES);
  }
}

// Prints or saves an answer for `attend` and `encode`.
template <typename Response>
ExitCode ShowResults(const RequestFile& file, const absl::StatusOr<Response>& response,
                     const CommandOptions& options, std::ostream& out, std::ostream& err) {
  if (!response.ok()) return ReportFailure(response.status(), err);
  if (!options.save.empty()) {
    return TellWritten(WriteArrays(options.save, ResultTensors(*response)), options.save, out, err);
  }
  if (options.json) return PrintJson(*response, out, err);
  const absl::StatusOr<std::string> text = FormatAll(file, *response);
  if (!text.ok()) return ReportFailure(text.status(), err);
  PrintTitle(file, out);
  out << *text;
  return kExitOk;
}

// Prints or draws an answer for `explain`.
template <typename Response>
ExitCode ShowExplanation(const RequestFile& file, const absl::StatusOr<Response>& response,
                         const CommandOptions& options, std::ostream& out, std::ostream& err) {
  if (!response.ok()) return ReportFailure(response.status(), err);
  if (!options.html.empty()) return WriteFile(ExplainPage(file, *response), options.html, out, err);
  const absl::StatusOr<AttentionMaps> maps = MapsOf(file, *response);
  if (!maps.ok()) return ReportFailure(maps.status(), err);
  if (!options.png.empty()) return WriteFile(ExplainPicture(file, *maps), options.png, out, err);
  PrintTitle(file, out);
  out << FormatExplanation(file, *maps, options.shading);
  return kExitOk;
}

// Reads the request file of a command; the words of the command line replace those of the file.
absl::StatusOr<RequestFile> ReadFile(const std::string& path, const CommandOptions& options) {
  absl::StatusOr<RequestFile> file =
      ReadRequestFile(path, static_cast<uint64_t>(options.client.max_message_bytes));
  if (file.ok() && !options.words.empty()) file->words = options.words;
  return file;
}

// Returns the number of layers of the encoder that the request names.
absl::StatusOr<int> LayersOf(const AttentionClient& client, const v1::LayerRef& ref) {
  const absl::StatusOr<v1::Layer> layer = client.GetLayer(ref.name(), ref.version());
  if (!layer.ok()) return layer.status();
  return layer->encoder().num_layers();
}

ExitCode WatchHealth(const AttentionClient& client, const CommandOptions& options,
                     std::ostream& out, std::ostream& err) {
  const absl::Status status = client.WatchHealth(options.service, [&out](const std::string& state) {
    out << state << std::endl;  // flushed, for programs that read it line by line
    return out.good();
  });
  if (!status.ok()) ReportFailure(status, err);
  return kExitNoServer;
}

}  // namespace

ExitCode RunEncode(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  if (absl::Status status = CheckOutputs(options); !status.ok()) return ReportUsage(status, err);
  absl::StatusOr<RequestFile> file = ReadFile(options.file, options);
  if (!file.ok()) return ReportUsage(file.status(), err);
  if (!file->encode.has_value()) {
    return ReportUsage(Wrong("the file has no \"encode\"; use attend"), err);
  }
  AskForNumbers(options, *file->encode);
  return ShowResults(*file, client->Encode(*file->encode), options, out, err);
}

ExitCode RunAttend(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  if (absl::Status status = CheckOutputs(options); !status.ok()) return ReportUsage(status, err);
  std::vector<RequestFile> files;
  std::vector<std::string> paths = {options.file};
  paths.insert(paths.end(), options.more_files.begin(), options.more_files.end());
  for (const std::string& path : paths) {
    absl::StatusOr<RequestFile> file = ReadFile(path, options);
    if (!file.ok()) return ReportUsage(file.status(), err);
    if (file->encode.has_value()) {
      return ReportUsage(Wrong(absl::StrCat(path, " has \"encode\"; use encode")), err);
    }
    AskForNumbers(options, file->request);
    files.push_back(*std::move(file));
  }
  if (files.size() == 1) {
    return ShowResults(files[0], client->ComputeAttention(files[0].request), options, out, err);
  }
  if (!options.save.empty()) return ReportUsage(Wrong("--save takes one FILE"), err);
  const auto show = [&](size_t i, const absl::StatusOr<v1::ComputeAttentionResponse>& response) {
    if (!response.ok()) {
      return ReportFailure(WithHint(response.status(), absl::StrCat("this was ", paths[i])), err);
    }
    if (!options.json) out << "== " << EscapeControls(paths[i]) << "\n";
    return ShowResults(files[i], response, options, out, err);
  };
  return StreamFiles(*client, files, show, err);
}

ExitCode RunExplain(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  if (absl::Status status = CheckOutputs(options); !status.ok()) return ReportUsage(status, err);
  absl::StatusOr<RequestFile> file = ReadFile(options.file, options);
  if (!file.ok()) return ReportUsage(file.status(), err);
  const bool as_page = !options.html.empty();
  if (as_page && !options.png.empty()) return ReportUsage(Wrong("want --html or --png"), err);
  if (file->encode.has_value()) {
    const absl::StatusOr<int> num_layers = LayersOf(*client, file->encode->layer());
    if (!num_layers.ok()) return ReportFailure(num_layers.status(), err);
    as_page ? AskForPage(*num_layers, *file->encode)
            : AskForExplanation(*num_layers, *file->encode);
    return ShowExplanation(*file, client->Encode(*file->encode), options, out, err);
  }
  if (as_page && file->request.has_partials()) {
    return ReportUsage(Wrong("partial results have no weights to show"), err);
  }
  as_page ? AskForPage(file->request) : AskForExplanation(file->request);
  return ShowExplanation(*file, client->ComputeAttention(file->request), options, out, err);
}

ExitCode RunHealth(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  if (!options.http.empty() && (options.watch || !options.service.empty())) {
    return ReportUsage(Wrong("--http tells of the server as a whole, once; want it without --watch "
                             "and --service"),
                       err);
  }
  absl::Status status;
  if (!options.http.empty()) {
    status = CheckReady(options.http, options.client.timeout);
    if (absl::IsInvalidArgument(status)) return ReportUsage(status, err);
  } else {
    absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
    if (!client.ok()) return ReportUsage(client.status(), err);
    if (options.watch) return WatchHealth(*client, options, out, err);
    status = client->CheckHealth(options.service);
  }
  if (!status.ok()) {
    ReportFailure(status, err);
    return kExitNoServer;
  }
  out << "SERVING\n";
  return kExitOk;
}

}  // namespace attention::client
