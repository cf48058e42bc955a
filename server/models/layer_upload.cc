// The part of LayerStore by which layers come in.
#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "server/models/layer_store.h"

namespace attention::engine {
namespace {

// In which steps room is made for a file in memory.
constexpr int64_t kReserveBytes = int64_t{1} << 20;

}  // namespace

LayerStore::Upload::Upload(LayerStore* store, std::string name, std::string config_json)
    : store_(store), name_(std::move(name)), config_json_(std::move(config_json)) {}

absl::StatusOr<LayerStore::Upload> LayerStore::Begin(std::string name, std::string config_json) {
  if (absl::Status status = CheckLayerName(name); !status.ok()) return status;
  const absl::StatusOr<LayerConfig> config = LayerConfig::Parse(config_json);
  if (!config.ok()) return config.status();
  Upload upload(this, std::move(name), std::move(config_json));
  if (folder_.has_value()) {
    absl::StatusOr<LayerFolder::Staging> staging = folder_->Stage();
    if (!staging.ok()) return staging.status();
    upload.staging_.emplace(*std::move(staging));
  } else {
    absl::StatusOr<FileHandle> file = FileHandle::InMemory();
    if (!file.ok()) return file.status();
    upload.in_memory_ = *std::move(file);
  }
  return upload;
}

absl::Status LayerStore::Upload::Write(absl::Span<const std::byte> bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  if (!staging_.has_value() && size > room_) {
    const int64_t more = std::max(kReserveBytes, size);
    if (absl::Status status = store_->Reserve(more, reserved_); !status.ok()) return status;
    room_ += more;
  }
  room_ -= size;
  return WriteAll(file(), bytes);
}

absl::Status LayerStore::Upload::Finish() {
  absl::StatusOr<MappedFile> mapped = MappedFile::Map(file());
  if (!mapped.ok()) return mapped.status();
  absl::StatusOr<std::shared_ptr<StoredLayer>> layer =
      StoredLayer::Make({name_, 1}, config_json_, *std::move(mapped));
  if (!layer.ok()) return layer.status();
  absl::Status status;
  if (staging_.has_value()) {
    status = store_->packed_.CheckFits(**layer, 0);
  } else {
    if (reserved_ != nullptr) reserved_->clear();  // more was set aside than the file took
    status = store_->Reserve(static_cast<int64_t>((*layer)->file().bytes().size()), reserved_);
    if (status.ok()) status = store_->CheckRoomInMemory(**layer);
  }
  if (status.ok()) status = store_->Reserve((*layer)->HeapBytes(), reserved_);
  if (status.ok() && staging_.has_value()) status = staging_->Sync();
  if (status.ok()) layer_ = *std::move(layer);
  return status;
}

// Files in memory stay; so beside all of them there must be room for the largest layer to be
// packed.
absl::Status LayerStore::CheckRoomInMemory(const StoredLayer& layer) const {
  const int64_t files = packed_.reserved();
  absl::Status status = packed_.CheckFits(layer, files);
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, named] : layers_) {
    for (const auto& [number, version] : named.versions) {
      if (status.ok() && version.layer != nullptr) {
        status = packed_.CheckFits(*version.layer, files);
      }
    }
  }
  return status;
}

absl::StatusOr<std::shared_ptr<const StoredLayer>> LayerStore::Upload::Publish() {
  return store_->Publish(*this);
}

absl::StatusOr<std::shared_ptr<const StoredLayer>> LayerStore::Publish(Upload& upload) {
  const std::shared_ptr<StoredLayer>& layer = upload.layer_;
  absl::MutexLock reading(&ReadingOf(upload.name_));
  for (;;) {
    if (absl::Status status = RefreshLocked(upload.name_); !status.ok()) return status;
    {
      absl::MutexLock lock(&mutex_);
      NamedVersions& named = layers_[upload.name_];
      if (auto same = NewestIfSame(named, *layer); same != nullptr) return same;
      layer->SetVersion(named.next);
      if (!folder_.has_value()) {
        named.versions[named.next++] = {.found = std::nullopt,
                                        .created = absl::Now(),
                                        .layer = layer,
                                        .problem = absl::OkStatus(),
                                        .reserved = std::move(upload.reserved_)};
        return layer;
      }
    }
    absl::Status status =
        folder_->Publish(*upload.staging_, upload.config_json_, upload.name_, layer->version());
    if (absl::IsAlreadyExists(status)) continue;  // another server was faster
    if (!status.ok()) return status;
    return Insert(upload);
  }
}

std::shared_ptr<const StoredLayer> LayerStore::NewestIfSame(const NamedVersions& named,
                                                            const StoredLayer& layer) {
  if (named.versions.empty()) return nullptr;
  const auto& newest = std::prev(named.versions.end())->second.layer;
  const bool same = newest != nullptr && newest->sha256() == layer.sha256() &&
                    newest->config_json() == layer.config_json();
  return same ? newest : nullptr;
}

// Takes the layer that was published into the catalogue, so that it is not read once more.
std::shared_ptr<const StoredLayer> LayerStore::Insert(const Upload& upload) {
  const std::shared_ptr<const StoredLayer> layer = upload.layer_;
  const absl::StatusOr<LayerFolder::Versions> scan = folder_->Scan(upload.name_);
  if (!scan.ok()) return layer;  // it is published all the same
  absl::MutexLock lock(&mutex_);
  for (const LayerFolder::Found& found : scan->found) {
    if (found.version != layer->version()) continue;
    layers_[upload.name_].versions[found.version] = {
        .found = found,
        .created = absl::FromUnixNanos(found.model_stamp.modified_ns),
        .layer = layer,
        .problem = absl::OkStatus(),
        .reserved = upload.reserved_};
  }
  return layer;
}

}  // namespace attention::engine
