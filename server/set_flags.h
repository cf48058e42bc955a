#ifndef ATTENTION_SERVER_SET_FLAGS_H_
#define ATTENTION_SERVER_SET_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attention {

// Sets all of the process's absl flags to their defaults.
void ResetFlags();

// Sets the process's absl flags: --name=value, --name value, and for truth values --name alone.
// INVALID_ARGUMENT, with words for the user, where there is no such flag or a value does not parse.
//
// absl::ParseCommandLine would end the process with exit code 1, which for the server says that it
// cannot listen, for a flag that does not parse and even for --help.
absl::Status SetFlags(absl::Span<const char* const> arguments);

// Sets flags from a JSON object {"name": value, ...}, comments allowed. NOT_FOUND where the file
// cannot be read; INVALID_ARGUMENT as SetFlags, and where the file is not such an object, names a
// flag twice or one of `not_from_file`.
absl::Status SetFlagsFromFile(const std::string& file,
                              absl::Span<const absl::string_view> not_from_file);

// A heading, and the flags below it.
struct FlagGroup {
  absl::string_view title;
  std::vector<absl::string_view> names;
};

// Each flag of each group with its default and what it is for.
std::string DescribeFlags(absl::Span<const FlagGroup> groups);

}  // namespace attention

#endif  // ATTENTION_SERVER_SET_FLAGS_H_
