#include "client/cli/commands/command_output.h"

#include <string>

#include "absl/strings/match.h"
#include "client/call_status.h"
#include "client/cli/display_text.h"
#include "google/protobuf/util/json_util.h"

namespace attention::client {

ExitCode ReportUsage(const absl::Status& status, std::ostream& err) {
  err << "attention_client: " << EscapeControlsKeepLines(status.message()) << "\n";
  return kExitUsage;
}

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

ExitCode PrintJson(const google::protobuf::Message& message, std::ostream& out, std::ostream& err) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    return ReportFailure(absl::InternalError(std::string(status.message())), err);
  }
  out << json;
  return kExitOk;
}

}  // namespace attention::client
