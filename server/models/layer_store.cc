#include "server/models/layer_store.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace attention::engine {
namespace {

// File systems count time in ticks of up to two seconds (FAT; others in milliseconds). What has
// changed within the last tick may change again without another stamp.
constexpr absl::Duration kTick = absl::Seconds(2);

bool IsSettled(const LayerFolder::Stamp& stamp, absl::Time now) {
  const int64_t limit = absl::ToUnixNanos(now - kTick);
  return std::all_of(stamp.begin(), stamp.end(),
                     [&](const LayerFolder::FileStamp& file) { return file.modified_ns < limit; });
}

// Whether what kept a layer from being read may be over by the next time.
bool MayPass(const absl::Status& problem) {
  return !problem.ok() && !absl::IsInvalidArgument(problem) && !absl::IsFailedPrecondition(problem);
}

absl::Status NotFound(absl::string_view name, int64_t version) {
  return absl::NotFoundError(
      version == 0 ? absl::StrCat("there is no layer ", name)
                   : absl::StrCat("there is no version ", version, " of layer ", name));
}

absl::StatusOr<std::shared_ptr<StoredLayer>> ReadFolder(const std::string& name,
                                                        const LayerFolder::Found& found) {
  absl::StatusOr<std::string> config = ReadSmallFile(found.config, LayerConfig::kMostBytes);
  if (!config.ok()) return config.status();
  const absl::StatusOr<FileHandle> handle = FileHandle::Open(found.model.string());
  if (!handle.ok()) return handle.status();
  absl::StatusOr<MappedFile> file = MappedFile::Map(*handle);
  if (!file.ok()) return file.status();
  return StoredLayer::Make({name, found.version}, *std::move(config), *std::move(file));
}

}  // namespace

LayerStore::LayerStore(const Options& options, std::optional<LayerFolder> folder)
    : folder_(std::move(folder)), packed_(options.memory_bytes) {}

absl::StatusOr<std::unique_ptr<LayerStore>> LayerStore::Open(const Options& options) {
  std::optional<LayerFolder> folder;
  if (!options.folder.empty()) {
    absl::StatusOr<LayerFolder> opened = LayerFolder::Open(options.folder);
    if (!opened.ok()) return opened.status();
    folder = *std::move(opened);
  }
  std::unique_ptr<LayerStore> store(new LayerStore(options, std::move(folder)));
  if (const auto listed = store->List(); !listed.ok()) return listed.status();
  return store;
}

absl::StatusOr<std::shared_ptr<const StoredLayer>> LayerStore::Get(const std::string& name,
                                                                   int64_t version) {
  const absl::StatusOr<Listed> found = Find(name, version);
  if (!found.ok()) return found.status();
  if (found->layer != nullptr) return found->layer;
  return absl::FailedPreconditionError(absl::StrCat("layer ", name, " version ", found->version,
                                                    " cannot be used: ", found->problem.message()));
}

absl::StatusOr<LayerStore::Listed> LayerStore::Find(const std::string& name, int64_t version) {
  if (absl::Status status = CheckLayerName(name); !status.ok()) return status;
  if (absl::Status status = Refresh(name); !status.ok()) return status;
  absl::MutexLock lock(&mutex_);
  const auto named = layers_.find(name);
  if (named == layers_.end() || named->second.versions.empty()) return NotFound(name, version);
  const std::map<int64_t, Version>& versions = named->second.versions;
  const auto found = version == 0 ? std::prev(versions.end()) : versions.find(version);
  if (found == versions.end()) return NotFound(name, version);
  return ToListed(name, found->first, found->second);
}

absl::StatusOr<std::vector<LayerStore::Listed>> LayerStore::List() {
  std::vector<Listed> all;
  if (folder_.has_value()) {
    const absl::StatusOr<std::vector<std::string>> names = folder_->Names();
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      absl::Status status = CheckLayerName(name);
      if (status.ok()) status = Refresh(name);
      if (status.ok()) continue;
      all.push_back({.name = name, .created = {}, .layer = nullptr, .problem = std::move(status)});
    }
  }
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, named] : layers_) {
    for (auto it = named.versions.rbegin(); it != named.versions.rend(); ++it) {
      all.push_back(ToListed(name, it->first, it->second));
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Listed& a, const Listed& b) { return a.name < b.name; });
  return all;
}

LayerStore::Listed LayerStore::ToListed(const std::string& name, int64_t number,
                                        const Version& version) {
  return {.name = name,
          .version = number,
          .created = version.created,
          .layer = version.layer,
          .problem = version.problem};
}

absl::Status LayerStore::Refresh(const std::string& name) {
  if (!folder_.has_value()) return absl::OkStatus();
  {
    const LayerFolder::Stamp stamp = folder_->StampOf(name);
    absl::MutexLock lock(&mutex_);
    const auto known = layers_.find(name);
    if (known != layers_.end() && known->second.is_settled && known->second.stamp == stamp) {
      return absl::OkStatus();
    }
  }
  absl::MutexLock reading(&ReadingOf(name));
  return RefreshLocked(name);
}

absl::Status LayerStore::RefreshLocked(const std::string& name) {
  if (!folder_.has_value()) return absl::OkStatus();
  const absl::Time now = absl::Now();
  const LayerFolder::Stamp stamp = folder_->StampOf(name);
  const absl::StatusOr<LayerFolder::Versions> scan = folder_->Scan(name);
  if (!scan.ok()) return scan.status();
  std::map<int64_t, Version> versions;
  {
    absl::MutexLock lock(&mutex_);
    const auto known = layers_.find(name);
    if (known == layers_.end() && scan->found.empty() && scan->next == 1) return absl::OkStatus();
    if (known != layers_.end()) versions = known->second.versions;
  }
  std::map<int64_t, Version> fresh;
  for (const LayerFolder::Found& found : scan->found) {
    const auto same = versions.find(found.version);
    const bool unchanged =
        same != versions.end() && same->second.found == found && !MayPass(same->second.problem);
    fresh[found.version] = unchanged ? same->second : Load(name, found);
  }
  for (const auto& [number, version] : versions) {
    const auto now_there = fresh.find(number);
    const bool gone = now_there == fresh.end() || now_there->second.layer != version.layer;
    if (gone && version.layer != nullptr) packed_.Forget(*version.layer);
  }
  absl::MutexLock lock(&mutex_);
  NamedVersions& named = layers_[name];
  const bool may_pass = std::any_of(fresh.begin(), fresh.end(), [](const auto& version) {
    return MayPass(version.second.problem);
  });
  named.versions = std::move(fresh);
  named.next = scan->next;
  named.stamp = stamp;
  named.is_settled = IsSettled(stamp, now) && !may_pass;
  return absl::OkStatus();
}

LayerStore::Version LayerStore::Load(const std::string& name, const LayerFolder::Found& found) {
  Version version;
  version.found = found;
  version.created = absl::FromUnixNanos(found.model_stamp.modified_ns);
  try {
    absl::StatusOr<std::shared_ptr<StoredLayer>> layer = ReadFolder(name, found);
    version.problem = layer.ok() ? packed_.CheckFits(**layer, 0) : layer.status();
    if (version.problem.ok()) version.problem = Reserve((*layer)->HeapBytes(), version.reserved);
    if (version.problem.ok()) version.layer = *std::move(layer);
  } catch (const std::bad_alloc&) {
    version.problem = absl::ResourceExhaustedError("out of memory");
  }
  return version;
}

absl::Status LayerStore::Reserve(int64_t bytes, Reserved& reserved) {
  absl::StatusOr<ReservedBytes> more = packed_.Reserve(bytes);
  if (!more.ok()) return more.status();
  if (reserved == nullptr) reserved = std::make_shared<std::vector<ReservedBytes>>();
  reserved->push_back(*std::move(more));
  return absl::OkStatus();
}

absl::Status LayerStore::Delete(const std::string& name, int64_t version) {
  if (absl::Status status = CheckLayerName(name); !status.ok()) return status;
  absl::MutexLock reading(&ReadingOf(name));
  if (absl::Status status = RefreshLocked(name); !status.ok()) return status;
  std::map<int64_t, Version> doomed;
  {
    absl::MutexLock lock(&mutex_);
    const auto named = layers_.find(name);
    if (named == layers_.end()) return NotFound(name, version);
    for (const auto& [number, known] : named->second.versions) {
      if (version == 0 || version == number) doomed[number] = known;
    }
    if (!folder_.has_value()) {
      for (const auto& number_and_version : doomed) {
        named->second.versions.erase(number_and_version.first);
      }
    }
  }
  if (doomed.empty()) return NotFound(name, version);
  for (const auto& [number, gone] : doomed) {
    if (gone.layer != nullptr) packed_.Forget(*gone.layer);
    if (!gone.found.has_value()) continue;
    if (absl::Status status = folder_->Remove(name, *gone.found); !status.ok()) return status;
  }
  return RefreshLocked(name);
}

}  // namespace attention::engine
