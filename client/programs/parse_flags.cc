#include "client/programs/parse_flags.h"

#include <cstddef>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace attention::client {
namespace {

// The parts of --name or --name=value.
struct FlagArgument {
  absl::CommandLineFlag* flag = nullptr;  // null: there is no such flag
  std::string value = "";
  bool has_value = false;
};

FlagArgument TakeApart(absl::string_view argument) {
  argument = absl::StripPrefix(argument, "-");
  argument = absl::StripPrefix(argument, "-");
  const size_t equals = argument.find('=');
  const absl::string_view name = argument.substr(0, equals);
  FlagArgument result{.flag = absl::FindCommandLineFlag(name)};
  if (equals != argument.npos) {
    result.value = std::string(argument.substr(equals + 1));
    result.has_value = true;
    return result;
  }
  if (result.flag == nullptr && absl::ConsumePrefix(&argument, "no")) {
    absl::CommandLineFlag* negated = absl::FindCommandLineFlag(argument);
    if (negated != nullptr && negated->IsOfType<bool>()) {
      return {.flag = negated, .value = "false", .has_value = true};
    }
  }
  if (result.flag != nullptr && result.flag->IsOfType<bool>()) {
    result.value = "true";
    result.has_value = true;
  }
  return result;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseFlags(absl::Span<const char* const> arguments) {
  std::vector<std::string> others;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view argument = arguments[i];
    if (argument == "--") {
      others.insert(others.end(), arguments.begin() + i + 1, arguments.end());
      break;
    }
    if (argument == "-" || argument.substr(0, 1) != "-") {
      others.emplace_back(argument);
      continue;
    }
    FlagArgument parsed = TakeApart(argument);
    if (parsed.flag == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("there is no flag ", argument));
    }
    if (!parsed.has_value) {
      if (++i == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat(argument, " needs a value"));
      }
      parsed.value = arguments[i];
    }
    std::string error;  // not shown: it repeats value and name, but not which values are allowed
    if (!parsed.flag->ParseFrom(parsed.value, &error)) {
      return absl::InvalidArgumentError(absl::StrCat("--", parsed.flag->Name(), " cannot be \"",
                                                     parsed.value,
                                                     "\"; it is: ", parsed.flag->Help()));
    }
  }
  return others;
}

}  // namespace attention::client
