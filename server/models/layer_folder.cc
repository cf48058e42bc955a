#include "server/models/layer_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/json/quoted.h"
#include "server/models/layer_folder_names.h"

namespace attention::engine {
namespace {

namespace fs = std::filesystem;
using folder::ForEachIn;
using folder::kConfig;
using folder::kDeleted;
using folder::kModel;
using folder::kModelSuffix;
using folder::kTorchModel;
using folder::VersionOf;

LayerFolder::FileStamp StampOfFile(const fs::path& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return {};
  return {.inode = info.st_ino,
          .bytes = info.st_size,
          .modified_ns = info.st_mtim.tv_sec * int64_t{1000000000} + info.st_mtim.tv_nsec};
}

LayerFolder::Found FoundAt(int64_t version, const fs::path& config, const fs::path& model) {
  return {version, config, model, StampOfFile(config), StampOfFile(model)};
}

bool IsThere(const LayerFolder::FileStamp& stamp) { return stamp.inode != 0; }

}  // namespace

bool IsLayerName(absl::string_view name) {
  // A file NAME.safetensors is a layer called NAME.
  if (absl::EndsWith(name, kModelSuffix) || absl::EndsWith(name, ".json")) return false;
  return !name.empty() && name.size() <= 63 && absl::ascii_isalnum(name[0]) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

absl::Status CheckLayerName(absl::string_view name) {
  if (IsLayerName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the layer's name is ", Quoted(name), "; want ", kLayerNameRule));
}

absl::StatusOr<std::vector<std::string>> LayerFolder::Names() const {
  std::vector<std::string> names;
  absl::Status status = ForEachIn(path_, [&](const std::string& file) {
    absl::string_view name = file;
    std::error_code ignored;
    if (absl::StartsWith(name, ".")) return;
    const bool is_folder = fs::is_directory(path_ / file, ignored);
    if (is_folder || absl::ConsumeSuffix(&name, kModelSuffix)) {
      names.emplace_back(name);
    }
  });
  if (!status.ok()) return status;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

LayerFolder::Stamp LayerFolder::StampOf(const std::string& name) const {
  const fs::path place = path_ / name;
  return {StampOfFile(place), StampOfFile(place / kConfig), StampOfFile(place / kModel),
          StampOfFile(path_ / (name + ".json")), StampOfFile(path_ / (name + kModelSuffix))};
}

absl::StatusOr<LayerFolder::Versions> LayerFolder::Scan(const std::string& name) const {
  const fs::path place = path_ / name;
  Versions versions;
  bool first_deleted = false;
  absl::Status status = ForEachIn(place, [&](const std::string& file) {
    absl::string_view digits = file;
    const bool deleted = absl::ConsumePrefix(&digits, kDeleted);
    const int64_t version = VersionOf(digits);
    if (version == 0) return;
    versions.next = std::max(versions.next, version + 1);
    if (deleted) {
      first_deleted |= version == 1;
      return;
    }
    versions.found.push_back(FoundAt(version, place / file / kConfig, place / file / kModel));
  });
  if (!status.ok()) return status;
  const auto by_version = [](const Found& a, const Found& b) { return a.version < b.version; };
  std::sort(versions.found.begin(), versions.found.end(), by_version);
  const bool first_is_free =
      !first_deleted && (versions.found.empty() || versions.found[0].version > 1);
  // A PyTorch checkpoint alone cannot be used, but whoever put it there should be told so.
  for (Found by_hand : {FoundAt(1, place / kConfig, place / kModel),
                        FoundAt(1, path_ / (name + ".json"), path_ / (name + kModelSuffix)),
                        FoundAt(1, place / kConfig, place / kTorchModel)}) {
    if (!IsThere(by_hand.model_stamp) || !first_is_free) continue;
    versions.found.insert(versions.found.begin(), std::move(by_hand));
    versions.next = std::max<int64_t>(versions.next, 2);
    break;
  }
  return versions;
}

absl::StatusOr<std::string> ReadSmallFile(const fs::path& path, size_t most) {
  const absl::StatusOr<FileHandle> file = FileHandle::Open(path.string());
  if (!file.ok()) return file.status();
  std::string text(most + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(file->get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return LastError(absl::StrCat("cannot read ", path.string()));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > most) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.string(), " is too large; want at most ", most, " bytes"));
  }
  text.resize(size);
  return text;
}

}  // namespace attention::engine
