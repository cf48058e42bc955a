#ifndef ATTENTION_SERVER_MODELS_LAYER_STORE_H_
#define ATTENTION_SERVER_MODELS_LAYER_STORE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/models/layer_folder.h"
#include "server/models/packed_layers.h"
#include "server/models/stored_layer.h"

namespace attention::engine {

// The layers that calls can name: in a folder that other servers may share, or in memory only.
// What others add to the folder or delete from it is seen by the next call that asks. Thread-safe;
// functions read and write files, and may take as long as that takes.
//
// One lock, mutex_, guards the list of layers; no file is touched under it. Whoever reads a layer's
// files, or changes which there are, holds the lock of its name (reading_), which is taken before
// mutex_, and one only. The lock of packed_ is taken last, without mutex_.
class LayerStore {
 public:
  struct Options {
    // Where layers are kept (layer_folder.h). Empty: in memory, until the process ends.
    std::string folder;
    // The most memory that layers may take: packed ones, and files where they are kept in memory.
    int64_t memory_bytes = int64_t{1} << 30;
  };

  // One version, usable or not.
  struct Listed {
    std::string name;
    int64_t version = 1;
    absl::Time created;
    std::shared_ptr<const StoredLayer> layer;  // null: `problem` says why it cannot be used
    absl::Status problem;
  };

  // What of the memory for layers something has set aside.
  using Reserved = std::shared_ptr<std::vector<ReservedBytes>>;

  // A layer on its way in; until Publish nobody sees it, and nothing is left of it if it is
  // destroyed before. For one thread at a time.
  class Upload {
   public:
    Upload(Upload&&) = default;
    Upload& operator=(Upload&&) = delete;

    // The next bytes of the safetensors file. RESOURCE_EXHAUSTED where there is no room.
    absl::Status Write(absl::Span<const std::byte> bytes);
    // That was all: reads and checks the layer. INVALID_ARGUMENT as StoredLayer::Make;
    // FAILED_PRECONDITION where it is too large for this server; as LastError.
    absl::Status Finish();
    // Behind a Finish that succeeded: of the file.
    const std::string& sha256() const { return layer_->sha256(); }
    // Behind a Finish that succeeded: makes the layer the next version of its name; or returns the
    // newest one, where that has the same bytes and config. As LastError.
    absl::StatusOr<std::shared_ptr<const StoredLayer>> Publish();

   private:
    friend class LayerStore;
    Upload(LayerStore* store, std::string name, std::string config_json);

    const FileHandle& file() const { return staging_.has_value() ? staging_->model() : in_memory_; }

    LayerStore* store_;
    std::string name_;
    std::string config_json_;
    std::optional<LayerFolder::Staging> staging_;  // else:
    FileHandle in_memory_;
    Reserved reserved_;                   // what it takes beside its packed weights
    int64_t room_ = 0;                    // reserved and not yet written
    std::shared_ptr<StoredLayer> layer_;  // behind Finish
  };

  // Reads all layers of the folder; those that are damaged are listed with their problem. As
  // LayerFolder::Open.
  static absl::StatusOr<std::unique_ptr<LayerStore>> Open(const Options& options);

  // The layer; version 0 is the newest. INVALID_ARGUMENT: that is no name; NOT_FOUND: there is no
  // such layer; FAILED_PRECONDITION: it cannot be used, and why. As LastError.
  absl::StatusOr<std::shared_ptr<const StoredLayer>> Get(const std::string& name, int64_t version);

  // All versions that there are, by name and then the newest first. As LastError.
  absl::StatusOr<std::vector<Listed>> List();
  // One version of these, or the newest (0). NOT_FOUND; as LastError.
  absl::StatusOr<Listed> Find(const std::string& name, int64_t version);

  // INVALID_ARGUMENT: no name, or a config that LayerConfig::Parse refuses. As LastError.
  absl::StatusOr<Upload> Begin(std::string name, std::string config_json);

  // Removes a version, or all of them (0). Calls that use it go on. NOT_FOUND; as LastError.
  absl::Status Delete(const std::string& name, int64_t version);

  PackedLayers& packed() { return packed_; }

 private:
  struct Version {
    std::optional<LayerFolder::Found> found;  // in a folder
    absl::Time created;
    std::shared_ptr<const StoredLayer> layer;
    absl::Status problem;
    Reserved reserved;  // what it takes beside its packed weights
  };
  struct NamedVersions {
    std::map<int64_t, Version> versions;
    int64_t next = 1;
    LayerFolder::Stamp stamp;
    bool is_settled = false;  // nothing can have happened since without changing the stamp
  };

  LayerStore(const Options& options, std::optional<LayerFolder> folder);

  absl::Mutex& ReadingOf(const std::string& name) {
    return reading_[std::hash<std::string>()(name) % reading_.size()];
  }
  // Looks whether the folder has other versions of `name` than we know, and reads these.
  absl::Status Refresh(const std::string& name);
  absl::Status RefreshLocked(const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ReadingOf(name));
  Version Load(const std::string& name, const LayerFolder::Found& found);
  absl::Status Reserve(int64_t bytes, Reserved& reserved);
  absl::Status CheckRoomInMemory(const StoredLayer& layer) const;
  absl::StatusOr<std::shared_ptr<const StoredLayer>> Publish(Upload& upload);
  static std::shared_ptr<const StoredLayer> NewestIfSame(const NamedVersions& named,
                                                         const StoredLayer& layer);
  std::shared_ptr<const StoredLayer> Insert(const Upload& upload)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ReadingOf(upload.name_));
  static Listed ToListed(const std::string& name, int64_t number, const Version& version);

  const std::optional<LayerFolder> folder_;
  PackedLayers packed_;
  // By the hash of a layer's name.
  std::array<absl::Mutex, 64> reading_;
  mutable absl::Mutex mutex_;
  std::map<std::string, NamedVersions> layers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_LAYER_STORE_H_
