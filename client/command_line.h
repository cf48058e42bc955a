#ifndef ATTENTION_CLIENT_COMMAND_LINE_H_
#define ATTENTION_CLIENT_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace attention::client {

// Sets the program's flags (ABSL_FLAG) from its arguments and returns those that are no flags.
// Takes
// --name=value, --name value, and for truth values --name and --noname; flags may stand before or
// behind the others; after "--" nothing is a flag, and "-" alone never is.
//
// absl::ParseCommandLine would end the process with exit code 1 for an unknown flag and for --help;
// the exit codes of this program say which kind of failure it was.
//
// INVALID_ARGUMENT: a flag that the program does not have, one without its value, a value that does
// not fit. Flags that were set before the failure stay set.
absl::StatusOr<std::vector<std::string>> ParseFlags(absl::Span<const char* const> arguments);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_COMMAND_LINE_H_
