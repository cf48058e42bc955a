#ifndef ATTENTION_CLIENT_PROGRAMS_PARSE_FLAGS_H_
#define ATTENTION_CLIENT_PROGRAMS_PARSE_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace attention::client {

// Sets the program's absl flags from the arguments and returns those that are no flags. Takes
// --name=value, --name value, and for truth values --name and --noname; flags may stand before or
// behind the others; after "--" nothing is a flag, and "-" alone never is. INVALID_ARGUMENT, with
// words for the user.
//
// absl::ParseCommandLine would end the process with exit code 1 for an unknown flag and for --help;
// the exit codes of these programs say which kind of failure it was.
absl::StatusOr<std::vector<std::string>> ParseFlags(absl::Span<const char* const> arguments);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_PROGRAMS_PARSE_FLAGS_H_
