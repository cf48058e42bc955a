#include "server/set_flags.h"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/json/json_text.h"

namespace attention {
namespace {

absl::Status SetFlag(absl::CommandLineFlag& flag, const std::string& value) {
  std::string error;  // repeats the value and the name, and does not say what would do
  if (flag.ParseFrom(value, &error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag.Name(), " cannot be `", value, "`; it is: ", flag.Help()));
}

// What a JSON value is as the value of a flag.
std::string FlagText(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

void ResetFlags() {
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    std::string error;
    if (flag->CurrentValue() != flag->DefaultValue()) flag->ParseFrom(flag->DefaultValue(), &error);
  }
}

absl::Status SetFlags(absl::Span<const char* const> arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view name = arguments[i];
    if (!absl::ConsumePrefix(&name, "-")) {
      return absl::InvalidArgumentError(absl::StrCat("unexpected argument `", name, "`"));
    }
    absl::ConsumePrefix(&name, "-");
    const size_t equals = name.find('=');
    std::string value = equals == name.npos ? "" : std::string(name.substr(equals + 1));
    absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(name.substr(0, equals));
    if (flag == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("there is no flag ", arguments[i]));
    }
    if (equals == name.npos && flag->IsOfType<bool>()) {
      value = "true";
    } else if (equals == name.npos) {
      if (++i == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
      }
      value = arguments[i];
    }
    if (absl::Status status = SetFlag(*flag, value); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status SetFlagsFromFile(const std::string& file,
                              absl::Span<const absl::string_view> not_from_file) {
  std::ifstream in(file);
  if (!in) return absl::NotFoundError(absl::StrCat("--config: cannot read ", file));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const absl::StatusOr<nlohmann::json> parsed =
      engine::ParseJson(text, engine::JsonComments::kAllowed);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", parsed.status().message()));
  }
  const nlohmann::json& config = *parsed;
  if (!config.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": is no JSON object of flags, such as {\"port\": 50051}"));
  }
  for (const auto& [name, value] : config.items()) {
    absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": there is no flag `", name, "`"));
    }
    if (std::find(not_from_file.begin(), not_from_file.end(), name) != not_from_file.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": `", name, "` is for the command line alone"));
    }
    if (value.is_structured() || value.is_null()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": `", name, "` is neither text, number nor truth value"));
    }
    if (absl::Status status = SetFlag(*flag, FlagText(value)); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

std::string DescribeFlags(absl::Span<const FlagGroup> groups) {
  std::string text;
  for (const FlagGroup& group : groups) {
    absl::StrAppend(&text, group.title, "\n\n");
    for (const absl::string_view name : group.names) {
      const absl::CommandLineFlag& flag = *absl::FindCommandLineFlag(name);
      const std::string value = flag.IsOfType<bool>() ? "" : absl::StrCat("=", flag.DefaultValue());
      absl::StrAppend(&text, "  --", name, value, "\n      ", flag.Help(), "\n");
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

}  // namespace attention
