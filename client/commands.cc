#include "client/commands.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "client/attend_view.h"
#include "client/call_status.h"
#include "client/display_text.h"
#include "client/explain_view.h"
#include "client/request_file.h"
#include "client/token_names.h"
#include "google/protobuf/util/json_util.h"

namespace attention::client {
namespace {

ExitCode ReportUsage(const absl::Status& status, std::ostream& err) {
  err << "attention_client: " << EscapeControlsKeepLines(status.message()) << "\n";
  return kExitUsage;
}

// The code, the message, and the fields that the message has not told of.
ExitCode ReportFailure(const absl::Status& status, std::ostream& err) {
  err << "attention_client: " << absl::StatusCodeToString(status.code()) << ": "
      << EscapeControlsKeepLines(status.message()) << "\n";
  for (const auto& violation : FieldViolations(status)) {
    if (absl::StrContains(status.message(), violation.description())) continue;
    err << "  " << EscapeControls(violation.field()) << ": "
        << EscapeControls(violation.description()) << "\n";
  }
  return absl::IsUnavailable(status) ? kExitNoServer : kExitFailed;
}

ExitCode PrintJson(const v1::ComputeAttentionResponse& response, std::ostream& out,
                   std::ostream& err) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(response, &json, options);
  if (!status.ok()) {
    return ReportFailure(absl::InternalError(std::string(status.message())), err);
  }
  out << json;
  return kExitOk;
}

void PrintTitle(const RequestFile& file, std::ostream& out) {
  if (!file.title.empty()) out << EscapeControls(file.title) << "\n\n";
}

// The text, or what kept us from it.
ExitCode Print(const absl::StatusOr<std::string>& text, std::ostream& out, std::ostream& err) {
  if (!text.ok()) return ReportFailure(text.status(), err);
  out << *text;
  return kExitOk;
}

}  // namespace

ExitCode RunAttend(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  absl::StatusOr<RequestFile> file = ReadRequestFile(options.file);
  if (!file.ok()) return ReportUsage(file.status(), err);
  absl::StatusOr<v1::ComputeAttentionResponse> response = client->ComputeAttention(file->request);
  if (!response.ok()) return ReportFailure(response.status(), err);
  if (options.json) return PrintJson(*response, out, err);
  PrintTitle(*file, out);
  return Print(FormatResults(*response, NamesFor(*file)), out, err);
}

ExitCode RunExplain(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  absl::StatusOr<RequestFile> file = ReadRequestFile(options.file);
  if (!file.ok()) return ReportUsage(file.status(), err);
  AskForExplanation(file->request);
  absl::StatusOr<v1::ComputeAttentionResponse> response = client->ComputeAttention(file->request);
  if (!response.ok()) return ReportFailure(response.status(), err);
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
