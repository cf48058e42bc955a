#include "server/engine/layers/layer_folder.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"

namespace attention::engine {
namespace {

namespace fs = std::filesystem;

constexpr char kConfig[] = "config.json";
constexpr char kModel[] = "model.safetensors";
constexpr char kUpload[] = ".upload-";
constexpr char kDeleted[] = ".deleted-";
constexpr char kModelSuffix[] = ".safetensors";

LayerFolder::FileStamp StampOfFile(const fs::path& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return {};
  return {.inode = info.st_ino,
          .bytes = info.st_size,
          .modified_ns = info.st_mtim.tv_sec * int64_t{1000000000} + info.st_mtim.tv_nsec};
}

LayerFolder::Found FoundAt(int64_t version, fs::path config, fs::path model) {
  return {version, config, model, StampOfFile(config), StampOfFile(model)};
}

bool IsThere(const LayerFolder::FileStamp& stamp) { return stamp.inode != 0; }

// The version that `digits` say: 1, 2 ...; 0 where they say none.
int64_t VersionOf(absl::string_view digits) {
  int64_t version = 0;
  const bool plain = !digits.empty() && digits.size() <= 18 && digits[0] != '0' &&
                     std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit);
  return plain && absl::SimpleAtoi(digits, &version) ? version : 0;
}

// Waits until the file or folder is on disk.
absl::Status Sync(const fs::path& path) {
  const FileHandle file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() || fsync(file.get()) != 0) {
    return LastError(absl::StrCat("cannot sync ", path.string()));
  }
  return absl::OkStatus();
}

// Calls visit(file name) for what lies in the folder; nothing where there is none.
template <typename Visit>
absl::Status ForEachIn(const fs::path& folder, Visit visit) {
  std::error_code error;
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

absl::Status MakeFolder(const fs::path& path) {
  if (mkdir(path.c_str(), 0777) == 0 || errno == EEXIST) return absl::OkStatus();
  return LastError(absl::StrCat("cannot make ", path.string()));
}

// Never replaces what is there.
int RenameIntoGap(const fs::path& from, const fs::path& to) {
  const long renamed =
      syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  if (renamed == 0 || (errno != EINVAL && errno != ENOSYS)) return static_cast<int>(renamed);
  // A file system without that flag. A folder with files in it is not replaced either way.
  return rename(from.c_str(), to.c_str());
}

// Removes what lay in a version that was deleted, but not its folder.
void EmptyTombstone(const fs::path& tombstone) {
  std::error_code ignored;
  fs::remove(tombstone / kModel, ignored);
  fs::remove(tombstone / kConfig, ignored);
}

// The lock of an upload: held as long as its process lives.
FileHandle Locked(const fs::path& folder, int how) {
  FileHandle handle(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle.valid() || flock(handle.get(), how) != 0) return {};
  struct stat info = {};
  // Whoever tidied up may have been faster.
  if (fstat(handle.get(), &info) != 0 || info.st_nlink == 0) return {};
  return handle;
}

}  // namespace

bool IsLayerName(absl::string_view name) {
  return !name.empty() && name.size() <= 63 && absl::ascii_isalnum(name[0]) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

LayerFolder::Staging::~Staging() {
  std::error_code ignored;
  if (folder_.valid()) fs::remove_all(path_, ignored);
}

absl::StatusOr<LayerFolder> LayerFolder::Open(fs::path path) {
  std::error_code error;
  fs::create_directories(path, error);
  LayerFolder folder(std::move(path));
  // The folder may be there and not writable: then its layers are served.
  const absl::StatusOr<std::vector<std::string>> names = folder.Names();
  if (!names.ok()) return names.status();
  if (!fs::is_directory(folder.path_)) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder.path_.string(), " is no folder and cannot be made one"));
  }
  folder.RemoveAbandoned();
  for (const std::string& name : *names) {
    ForEachIn(folder.path_ / name, [&](const std::string& file) {
      if (absl::StartsWith(file, kDeleted)) EmptyTombstone(folder.path_ / name / file);
    }).IgnoreError();
  }
  return folder;
}

void LayerFolder::RemoveAbandoned() const {
  ForEachIn(path_, [&](const std::string& name) {
    if (!absl::StartsWith(name, kUpload)) return;
    const FileHandle lock = Locked(path_ / name, LOCK_EX | LOCK_NB);
    std::error_code ignored;
    if (lock.valid()) fs::remove_all(path_ / name, ignored);
  }).IgnoreError();
}

absl::StatusOr<std::vector<std::string>> LayerFolder::Names() const {
  std::vector<std::string> names;
  absl::Status status = ForEachIn(path_, [&](const std::string& file) {
    absl::string_view name = file;
    std::error_code ignored;
    if (absl::StartsWith(name, ".")) return;
    if (absl::ConsumeSuffix(&name, kModelSuffix) || fs::is_directory(path_ / file, ignored)) {
      names.emplace_back(name);
    }
  });
  if (!status.ok()) return status;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

LayerFolder::Stamp LayerFolder::StampOf(const std::string& name) const {
  const fs::path folder = path_ / name;
  return {StampOfFile(folder), StampOfFile(folder / kConfig), StampOfFile(folder / kModel),
          StampOfFile(path_ / (name + ".json")), StampOfFile(path_ / (name + kModelSuffix))};
}

absl::StatusOr<LayerFolder::Versions> LayerFolder::Scan(const std::string& name) const {
  const fs::path folder = path_ / name;
  Versions versions;
  absl::Status status = ForEachIn(folder, [&](const std::string& file) {
    absl::string_view digits = file;
    const bool deleted = absl::ConsumePrefix(&digits, kDeleted);
    const int64_t version = VersionOf(digits);
    if (version == 0) return;
    versions.next = std::max(versions.next, version + 1);
    if (deleted) return;
    versions.found.push_back(FoundAt(version, folder / file / kConfig, folder / file / kModel));
  });
  if (!status.ok()) return status;
  const auto by_version = [](const Found& a, const Found& b) { return a.version < b.version; };
  std::sort(versions.found.begin(), versions.found.end(), by_version);
  const bool first_is_free = versions.found.empty() || versions.found[0].version > 1;
  for (Found by_hand : {FoundAt(1, folder / kConfig, folder / kModel),
                        FoundAt(1, path_ / (name + ".json"), path_ / (name + kModelSuffix))}) {
    if (!IsThere(by_hand.model_stamp) || !first_is_free) continue;
    versions.found.insert(versions.found.begin(), std::move(by_hand));
    versions.next = std::max<int64_t>(versions.next, 2);
    break;
  }
  return versions;
}

absl::StatusOr<LayerFolder::Staging> LayerFolder::Stage() const {
  RemoveAbandoned();
  Staging staging;
  while (!staging.folder_.valid()) {
    std::string path = (path_ / absl::StrCat(kUpload, "XXXXXX")).string();
    if (mkdtemp(path.data()) == nullptr) {
      return LastError(absl::StrCat("cannot begin an upload in ", path_.string()));
    }
    staging.folder_ = Locked(path, LOCK_EX);
    staging.path_ = path;
  }
  chmod(staging.path_.c_str(), 0755);  // others who share the folder may read
  staging.model_ = FileHandle(
      open((staging.path_ / kModel).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!staging.model_.valid()) return LastError("cannot make the layer's file");
  return staging;
}

absl::Status LayerFolder::Publish(Staging& staging, const std::string& config_json,
                                  const std::string& name, int64_t version) const {
  {
    const FileHandle config(
        open((staging.path_ / kConfig).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!config.valid()) return LastError("cannot make the layer's config.json");
    absl::Status status = WriteAll(
        config, {reinterpret_cast<const std::byte*>(config_json.data()), config_json.size()});
    if (status.ok()) status = Sync(staging.path_ / kConfig);
    if (status.ok()) status = Sync(staging.path_ / kModel);
    if (status.ok()) status = Sync(staging.path_);
    if (status.ok()) status = MakeFolder(path_ / name);
    if (!status.ok()) return status;
  }
  const fs::path to = path_ / name / absl::StrCat(version);
  if (RenameIntoGap(staging.path_, to) != 0) {
    if (errno == EEXIST || errno == ENOTEMPTY) {
      return absl::AlreadyExistsError(absl::StrCat(to.string(), " is there already"));
    }
    return LastError(absl::StrCat("cannot make ", to.string()));
  }
  staging.folder_ = FileHandle();
  absl::Status status = Sync(path_ / name);
  return status.ok() ? Sync(path_) : status;
}

absl::Status LayerFolder::Remove(const std::string& name, const Found& found) const {
  const fs::path tombstone = path_ / name / absl::StrCat(kDeleted, found.version);
  const fs::path folder = path_ / name / absl::StrCat(found.version);
  std::error_code ignored;
  if (found.model.parent_path() == folder) {
    if (RenameIntoGap(folder, tombstone) != 0) {
      return LastError(absl::StrCat("cannot delete ", folder.string()));
    }
    EmptyTombstone(tombstone);
  } else {
    absl::Status status = MakeFolder(path_ / name);
    if (status.ok()) status = MakeFolder(tombstone);
    if (!status.ok()) return status;
    if (unlink(found.model.c_str()) != 0) {
      return LastError(absl::StrCat("cannot delete ", found.model.string()));
    }
    fs::remove(found.config, ignored);
  }
  return Sync(path_ / name);
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
