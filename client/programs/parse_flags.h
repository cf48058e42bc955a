#ifndef ATTENTION_CLIENT_PROGRAMS_PARSE_FLAGS_H_
#define ATTENTION_CLIENT_PROGRAMS_PARSE_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace attention::client {

// Sets the program's absl flags from the arguments and returns the arguments that are not flags.
// Takes --name=value, --name value, and for truth values --name and --noname. Flags may stand
// before or after other arguments; after "--" nothing is a flag, and "-" alone never is.
// INVALID_ARGUMENT, with a message for the user, if a flag is unknown or wrong.
//
// absl::ParseCommandLine would end the process with exit code 1 for an unknown flag and for --help;
// the exit codes of these programs tell kinds of failure apart.
absl::StatusOr<std::vector<std::string>> ParseFlags(absl::Span<const char* const> arguments);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_PROGRAMS_PARSE_FLAGS_H_
