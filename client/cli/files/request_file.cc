#include "client/cli/files/request_file.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/cli/files/json_text.h"
#include "client/cli/files/token_names.h"

namespace attention::client {
namespace {

using Json = nlohmann::json;

std::string NameOf(const std::string& path) { return path == "-" ? "standard input" : path; }

absl::Status TooLarge(const std::string& name) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": larger than ", kMaxRequestFileBytes >> 20,
                   " MiB; name files of arrays in it (.npy, .npz, .safetensors) "
                   "in place of the numbers"));
}

// Reads a file up to the limit. It also works for files whose size is not known beforehand, such as
// pipes.
absl::StatusOr<std::string> ReadToLimit(std::FILE& file, const std::string& name) {
  constexpr size_t kChunk = size_t{1} << 16;
  std::string text;
  for (size_t got = kChunk; got == kChunk;) {
    const size_t size = text.size();
    text.resize(size + kChunk);
    got = std::fread(text.data() + size, 1, kChunk, &file);
    text.resize(size + got);
    if (text.size() > static_cast<size_t>(kMaxRequestFileBytes)) {
      return TooLarge(name);
    }
  }
  if (std::ferror(&file)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", std::strerror(errno)));
  }
  return text;
}

absl::Status ReadString(const Json& value, const std::string& path, std::string& string) {
  if (!value.is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no string; want one"));
  }
  string = value.get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadNames(const Json& value, const std::string& path,
                       std::vector<std::string>& names) {
  if (!value.is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no array; want one of strings"));
  }
  names.resize(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    absl::Status status = ReadString(value[i], absl::StrCat(path, "[", i, "]"), names[i]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ReadMember(const std::string& key, Json& value, const ArrayFiles& files,
                        RequestFile& file) {
  if (key == "title") return ReadString(value, key, file.title);
  if (key == "words") return ReadNames(value, key, file.words);
  if (key == "context_words") return ReadNames(value, key, file.context_words);
  if (key == "request") return FromFriendlyJson(std::move(value), files, key, file.request);
  if (key == "encode") {
    return FromFriendlyJson(std::move(value), files, key, file.encode.emplace());
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown key \"", key, "\"; want title, words, context_words, and request or encode"));
}

// Checks that there are no names, or one for each token. If the request has no length, the server
// will refuse it.
absl::Status CheckCount(const std::string& key, const std::vector<std::string>& names,
                        const std::string& tokens, std::optional<int64_t> length) {
  if (names.empty() || !length.has_value()) return absl::OkStatus();
  if (static_cast<int64_t>(names.size()) == *length) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(key, " names ", names.size(), " tokens; want ",
                                                 *length, ", as many as ", tokens,
                                                 " the request has"));
}

absl::StatusOr<RequestFile> FromJson(Json json, const ArrayFiles& files) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError("the file is no JSON object; want {\"request\": {...}}");
  }
  if (json.contains("request") == json.contains("encode")) {
    return absl::InvalidArgumentError(json.contains("request")
                                          ? "\"request\" and \"encode\" are both there; want one"
                                          : "the key \"request\" is missing");
  }
  RequestFile file;
  for (auto& [key, value] : json.items()) {
    if (absl::Status status = ReadMember(key, value, files, file); !status.ok()) return status;
  }
  if (file.encode.has_value()) {
    absl::Status status = CheckCount("words", file.words, "tokens", TokenCount(*file.encode));
    return status.ok() ? absl::StatusOr<RequestFile>(std::move(file)) : status;
  }
  absl::Status status = CheckCount("words", file.words, "query tokens", QueryLength(file.request));
  if (!status.ok()) return status;
  status = CheckCount("context_words", file.context_words, "key tokens", KeyLength(file.request));
  if (!status.ok()) return status;
  return file;
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  const auto close = [](std::FILE* file) {
    if (file != stdin) std::fclose(file);
  };
  const bool standard_input = path == "-";
  std::unique_ptr<std::FILE, decltype(close)> file(
      standard_input ? stdin : std::fopen(path.c_str(), "rb"), close);
  if (file == nullptr) {
    const std::string what = absl::StrCat(path, ": ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(what) : absl::InvalidArgumentError(what);
  }
  const std::string name = NameOf(path);
  std::error_code no_size;
  if (const uintmax_t bytes = std::filesystem::file_size(path, no_size);
      !standard_input && !no_size && bytes > kMaxRequestFileBytes) {
    return TooLarge(name);
  }
  return ReadToLimit(*file, name);
}

absl::StatusOr<RequestFile> ReadRequestFile(const std::string& path, uint64_t most_array_bytes) {
  absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  return ParseRequestFile(
      *text, NameOf(path),
      {.folder = std::filesystem::path(path).parent_path(), .most_bytes = most_array_bytes});
}

absl::StatusOr<RequestFile> ParseRequestFile(absl::string_view text, const std::string& name,
                                             const ArrayFiles& files) {
  absl::StatusOr<Json> json = ParseJson(text, name);
  if (!json.ok()) return json.status();
  absl::StatusOr<RequestFile> file = FromJson(*std::move(json), files);
  if (!file.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", file.status().message()));
  }
  return file;
}

}  // namespace attention::client
