// The part of LayerFolder that changes what is there.
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

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/models/layer_folder.h"
#include "server/models/layer_folder_names.h"

namespace attention::engine {
namespace {

namespace fs = std::filesystem;
using folder::ForEachIn;
using folder::kConfig;
using folder::kDeleted;
using folder::kModel;
using folder::kUpload;
using folder::VersionOf;

// Waits until the file or folder is on disk.
absl::Status Sync(const fs::path& path) {
  const FileHandle file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() || fsync(file.get()) != 0) {
    return LastError(absl::StrCat("cannot sync ", path.string()));
  }
  return absl::OkStatus();
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
void TidyDeleted(const fs::path& layer) {
  int64_t last = 0;
  const auto for_each_deleted = [&](auto visit) {
    ForEachIn(layer, [&](absl::string_view file) {
      const std::string name(file);
      const int64_t version = absl::ConsumePrefix(&file, kDeleted) ? VersionOf(file) : 0;
      if (version > 0) visit(version, layer / name);
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

LayerFolder::Staging::~Staging() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

absl::StatusOr<LayerFolder> LayerFolder::Open(fs::path path) {
  std::error_code error;
  fs::create_directories(path, error);
  LayerFolder opened(std::move(path));
  // The folder may be there and not writable: then its layers are served.
  const absl::StatusOr<std::vector<std::string>> names = opened.Names();
  if (!names.ok()) return names.status();
  if (!fs::is_directory(opened.path_)) {
    return absl::FailedPreconditionError(
        absl::StrCat(opened.path_.string(), " is no folder and cannot be made one"));
  }
  opened.RemoveAbandoned();
  for (const std::string& name : *names) {
    TidyDeleted(opened.path_ / name);
  }
  return opened;
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
  const fs::path place = path_ / name / absl::StrCat(found.version);
  std::error_code ignored;
  if (found.model.parent_path() == place) {
    if (RenameIntoGap(place, tombstone) != 0) {
      return LastError(absl::StrCat("cannot delete ", place.string()));
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

}  // namespace attention::engine
