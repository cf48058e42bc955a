#include "server/engine/layers/layer_folder.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
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
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/engine/layers/quoted.h"

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

LayerFolder::Found FoundAt(int64_t version, const fs::path& config, const fs::path& model) {
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

// How long what nobody wants any more is left alone: servers on other machines may still read a
// version that was deleted, and an upload may be just about to lock its file.
constexpr absl::Duration kGrace = absl::Hours(1);

// Whether the file or folder has been what it is, and where it is, for that long.
bool IsOld(const fs::path& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 &&
         absl::Now() - absl::TimeFromTimespec(info.st_ctim) > kGrace;
}

// Locks a file for as long as this process has it open, over the network too; false where another
// has.
bool Lock(const FileHandle& file) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(file.get(), F_OFD_SETLK, &lock) == 0;
}

// Removes what lay in versions of the layer that were deleted long ago, and all their folders but
// the last one's, which says which numbers are taken.
void TidyDeleted(const fs::path& folder) {
  int64_t last = 0;
  const auto for_each_deleted = [&](auto visit) {
    ForEachIn(folder, [&](absl::string_view file) {
      const std::string name(file);
      const int64_t version = absl::ConsumePrefix(&file, kDeleted) ? VersionOf(file) : 0;
      if (version > 0) visit(version, folder / name);
    }).IgnoreError();
  };
  for_each_deleted([&](int64_t version, const fs::path&) { last = std::max(last, version); });
  for_each_deleted([&](int64_t version, const fs::path& deleted) {
    std::error_code ignored;
    if (!IsOld(deleted)) return;
    fs::remove(deleted / kModel, ignored);
    fs::remove(deleted / kConfig, ignored);
    if (version != last && version != 1) fs::remove(deleted, ignored);
  });
}

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

LayerFolder::Staging::~Staging() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
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
    TidyDeleted(folder.path_ / name);
  }
  return folder;
}

void LayerFolder::RemoveAbandoned() const {
  ForEachIn(path_, [&](const std::string& name) {
    if (!absl::StartsWith(name, kUpload)) return;
    const fs::path model = path_ / name / kModel;
    const FileHandle file(open(model.c_str(), O_RDWR | O_CLOEXEC));
    std::error_code ignored;
    // Without a file yet it may have just begun.
    if (file.valid() ? Lock(file) : IsOld(path_ / name)) fs::remove_all(path_ / name, ignored);
  }).IgnoreError();
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
  const fs::path folder = path_ / name;
  return {StampOfFile(folder), StampOfFile(folder / kConfig), StampOfFile(folder / kModel),
          StampOfFile(path_ / (name + ".json")), StampOfFile(path_ / (name + kModelSuffix))};
}

absl::StatusOr<LayerFolder::Versions> LayerFolder::Scan(const std::string& name) const {
  const fs::path folder = path_ / name;
  Versions versions;
  bool first_deleted = false;
  absl::Status status = ForEachIn(folder, [&](const std::string& file) {
    absl::string_view digits = file;
    const bool deleted = absl::ConsumePrefix(&digits, kDeleted);
    const int64_t version = VersionOf(digits);
    if (version == 0) return;
    versions.next = std::max(versions.next, version + 1);
    if (deleted) {
      first_deleted |= version == 1;
      return;
    }
    versions.found.push_back(FoundAt(version, folder / file / kConfig, folder / file / kModel));
  });
  if (!status.ok()) return status;
  const auto by_version = [](const Found& a, const Found& b) { return a.version < b.version; };
  std::sort(versions.found.begin(), versions.found.end(), by_version);
  const bool first_is_free =
      !first_deleted && (versions.found.empty() || versions.found[0].version > 1);
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
  std::string path = (path_ / absl::StrCat(kUpload, "XXXXXX")).string();
  if (mkdtemp(path.data()) == nullptr) {
    return LastError(absl::StrCat("cannot begin an upload in ", path_.string()));
  }
  staging.path_ = path;
  chmod(path.c_str(), 0755);  // others who share the folder may read
  // Locked before it has the name by which others look for its lock.
  const fs::path unlocked = staging.path_ / "unlocked";
  staging.model_ = FileHandle(open(unlocked.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!staging.model_.valid()) return LastError("cannot make the layer's file");
  if (!Lock(staging.model_)) return LastError("cannot lock the layer's file");
  if (rename(unlocked.c_str(), (staging.path_ / kModel).c_str()) != 0) {
    return LastError("cannot name the layer's file");
  }
  return staging;
}

absl::Status LayerFolder::Staging::Sync() const {
  return fsync(model_.get()) == 0 ? absl::OkStatus() : LastError("cannot sync the layer's file");
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
    if (status.ok()) status = Sync(staging.path_);
    if (status.ok()) status = MakeFolder(path_ / name);
    if (!status.ok()) return status;
  }
  const fs::path to = path_ / name / absl::StrCat(version);
  if (fs::exists(path_ / name / absl::StrCat(kDeleted, version))) {
    return absl::AlreadyExistsError(absl::StrCat(to.string(), " was there already"));
  }
  if (RenameIntoGap(staging.path_, to) != 0) {
    if (errno == EEXIST || errno == ENOTEMPTY) {
      return absl::AlreadyExistsError(absl::StrCat(to.string(), " is there already"));
    }
    return LastError(absl::StrCat("cannot make ", to.string()));
  }
  staging.path_.clear();
  // It is there for everyone now, so a folder that cannot be synced is no failure.
  Sync(path_ / name).IgnoreError();
  Sync(path_).IgnoreError();
  return absl::OkStatus();
}

absl::Status LayerFolder::Remove(const std::string& name, const Found& found) const {
  const fs::path tombstone = path_ / name / absl::StrCat(kDeleted, found.version);
  const fs::path folder = path_ / name / absl::StrCat(found.version);
  std::error_code ignored;
  if (found.model.parent_path() == folder) {
    if (RenameIntoGap(folder, tombstone) != 0) {
      return LastError(absl::StrCat("cannot delete ", folder.string()));
    }
    // Its files stay for a while.
  } else {
    absl::Status status = MakeFolder(path_ / name);
    if (status.ok()) status = MakeFolder(tombstone);
    if (!status.ok()) return status;
    if (unlink(found.model.c_str()) != 0) {
      return LastError(absl::StrCat("cannot delete ", found.model.string()));
    }
    fs::remove(found.config, ignored);
    Sync(path_).IgnoreError();
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
