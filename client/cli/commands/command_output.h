#ifndef ATTENTION_CLIENT_CLI_COMMANDS_COMMAND_OUTPUT_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_COMMAND_OUTPUT_H_

#include <ostream>

#include "absl/status/status.h"
#include "client/cli/commands/commands.h"
#include "google/protobuf/message.h"

// What every command says to its user.
namespace attention::client {

// The command line or the file is wrong: kExitUsage.
ExitCode ReportUsage(const absl::Status& status, std::ostream& err);

// A call failed: its code, the message, and the fields that the message has not told of.
// kExitFailed or kExitNoServer.
ExitCode ReportFailure(const absl::Status& status, std::ostream& err);

// The message as protobuf JSON with the schema's field names.
ExitCode PrintJson(const google::protobuf::Message& message, std::ostream& out, std::ostream& err);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_COMMAND_OUTPUT_H_
