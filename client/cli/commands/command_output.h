#ifndef ATTENTION_CLIENT_CLI_COMMANDS_COMMAND_OUTPUT_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_COMMAND_OUTPUT_H_

#include <ostream>

#include "absl/status/status.h"
#include "client/cli/commands/commands.h"
#include "google/protobuf/message.h"

// Messages and exit codes that all commands share.
namespace attention::client {

// Reports that the command line or the file is wrong. Returns kExitUsage.
ExitCode ReportUsage(const absl::Status& status, std::ostream& err);

// Reports a failed call: its code, its message, and the refused fields that the message does not
// name. Returns kExitFailed or kExitNoServer.
ExitCode ReportFailure(const absl::Status& status, std::ostream& err);

// Prints the message as protobuf JSON with the schema's field names.
ExitCode PrintJson(const google::protobuf::Message& message, std::ostream& out, std::ostream& err);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_COMMAND_OUTPUT_H_
