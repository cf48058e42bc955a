#include "client/commands.h"

#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/attend_view.h"
#include "client/command_output.h"
#include "client/display_text.h"
#include "client/explain_page.h"
#include "client/explain_view.h"
#include "client/request_file.h"
#include "client/token_names.h"

namespace attention::client {
namespace {

void PrintTitle(const RequestFile& file, std::ostream& out) {
  if (!file.title.empty()) out << EscapeControls(file.title) << "\n\n";
}

// The text, or what kept us from it.
ExitCode Print(const absl::StatusOr<std::string>& text, std::ostream& out, std::ostream& err) {
  if (!text.ok()) return ReportFailure(text.status(), err);
  out << *text;
  return kExitOk;
}

ExitCode WritePage(const absl::StatusOr<std::string>& page, const std::string& path,
                   std::ostream& out, std::ostream& err) {
  if (!page.ok()) return ReportFailure(page.status(), err);
  std::ofstream file(path, std::ios::binary);
  if (!(file << *page << std::flush)) {
    return ReportUsage(absl::InvalidArgumentError(absl::StrCat("cannot write ", path)), err);
  }
  out << "wrote " << path << "\n";
  return kExitOk;
}

// The file that the command is about, with the words of the command line.
absl::StatusOr<RequestFile> ReadFile(const CommandOptions& options) {
  absl::StatusOr<RequestFile> file = ReadRequestFile(options.file);
  if (file.ok() && !options.words.empty()) file->words = options.words;
  return file;
}

ExitCode ExplainEncoder(RequestFile file, const AttentionClient& client,
                        const CommandOptions& options, std::ostream& out, std::ostream& err) {
  const v1::LayerRef& ref = file.encode->layer();
  const absl::StatusOr<v1::Layer> layer = client.GetLayer(ref.name(), ref.version());
  if (!layer.ok()) return ReportFailure(layer.status(), err);
  const int num_layers = layer->encoder().num_layers();
  const bool as_page = !options.html.empty();
  as_page ? AskForPage(num_layers, *file.encode) : AskForExplanation(num_layers, *file.encode);
  absl::StatusOr<v1::EncodeResponse> response = client.Encode(*file.encode);
  if (!response.ok()) return ReportFailure(response.status(), err);
  if (as_page) return WritePage(ExplainPage(file, *response), options.html, out, err);
  PrintTitle(file, out);
  return Print(FormatExplanation(file, *response, options.shading), out, err);
}

}  // namespace

ExitCode RunEncode(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  absl::StatusOr<RequestFile> file = ReadFile(options);
  if (!file.ok()) return ReportUsage(file.status(), err);
  if (!file->encode.has_value()) {
    return ReportUsage(absl::InvalidArgumentError("the file has no \"encode\"; use attend"), err);
  }
  absl::StatusOr<v1::EncodeResponse> response = client->Encode(*file->encode);
  if (!response.ok()) return ReportFailure(response.status(), err);
  if (options.json) return PrintJson(*response, out, err);
  PrintTitle(*file, out);
  return Print(FormatResults(*response, file->words), out, err);
}

ExitCode RunAttend(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  absl::StatusOr<RequestFile> file = ReadFile(options);
  if (!file.ok()) return ReportUsage(file.status(), err);
  if (file->encode.has_value()) {
    return ReportUsage(absl::InvalidArgumentError("the file has \"encode\"; use encode"), err);
  }
  absl::StatusOr<v1::ComputeAttentionResponse> response = client->ComputeAttention(file->request);
  if (!response.ok()) return ReportFailure(response.status(), err);
  if (options.json) return PrintJson(*response, out, err);
  PrintTitle(*file, out);
  return Print(FormatResults(*response, NamesFor(*file)), out, err);
}

ExitCode RunExplain(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  absl::StatusOr<RequestFile> file = ReadFile(options);
  if (!file.ok()) return ReportUsage(file.status(), err);
  if (file->encode.has_value()) {
    return ExplainEncoder(*std::move(file), *client, options, out, err);
  }
  const bool as_page = !options.html.empty();
  if (as_page && file->request.has_partials()) {
    return ReportUsage(absl::InvalidArgumentError("partial results have no weights to show"), err);
  }
  as_page ? AskForPage(file->request) : AskForExplanation(file->request);
  absl::StatusOr<v1::ComputeAttentionResponse> response = client->ComputeAttention(file->request);
  if (!response.ok()) return ReportFailure(response.status(), err);
  if (as_page) return WritePage(ExplainPage(*file, *response), options.html, out, err);
  PrintTitle(*file, out);
  return Print(FormatExplanation(*file, *response, options.shading), out, err);
}

ExitCode RunHealth(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  const absl::Status status = client->CheckHealth(options.service);
  if (!status.ok()) {
    ReportFailure(status, err);
    return kExitNoServer;
  }
  out << "SERVING\n";
  return kExitOk;
}

}  // namespace attention::client
