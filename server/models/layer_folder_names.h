#ifndef ATTENTION_SERVER_MODELS_LAYER_FOLDER_NAMES_H_
#define ATTENTION_SERVER_MODELS_LAYER_FOLDER_NAMES_H_

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/models/mapped_file.h"

// What the two files of LayerFolder share: the names in a layer folder (layer_folder.h).
namespace attention::engine::folder {

inline constexpr char kConfig[] = "config.json";
inline constexpr char kModel[] = "model.safetensors";
inline constexpr char kTorchModel[] = "pytorch_model.bin";
inline constexpr char kUpload[] = ".upload-";
inline constexpr char kDeleted[] = ".deleted-";
inline constexpr char kModelSuffix[] = ".safetensors";

// The version that `digits` say: 1, 2 ...; 0 where they say none.
inline int64_t VersionOf(absl::string_view digits) {
  int64_t version = 0;
  const bool plain = !digits.empty() && digits.size() <= 18 && digits[0] != '0' &&
                     std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit);
  return plain && absl::SimpleAtoi(digits, &version) ? version : 0;
}

// Calls visit(file name) for what lies in the folder; nothing where there is none.
template <typename Visit>
absl::Status ForEachIn(const std::filesystem::path& folder, Visit visit) {
  std::error_code error;
  namespace fs = std::filesystem;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    visit(it->path().filename().string());
  }
  if (!error || error == std::errc::no_such_file_or_directory ||
      error == std::errc::not_a_directory) {
    return absl::OkStatus();
  }
  errno = error.value();
  return LastError(absl::StrCat("cannot list ", folder.string()));
}

}  // namespace attention::engine::folder

#endif  // ATTENTION_SERVER_MODELS_LAYER_FOLDER_NAMES_H_
