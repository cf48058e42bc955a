#ifndef ATTENTION_SERVER_ENGINE_LAYERS_LAYER_FOLDER_H_
#define ATTENTION_SERVER_ENGINE_LAYERS_LAYER_FOLDER_H_

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/engine/layers/mapped_file.h"

namespace attention::engine {

// Whether `name` can name a layer: 1 to 63 letters, digits, '.', '_' and '-', the first a letter or
// a digit. So it is a file name as well, and one that stays within its folder.
bool IsLayerName(absl::string_view name);

// The folder in which layers are kept, shared by any number of processes and machines:
//
//   NAME/VERSION/config.json and model.safetensors    an uploaded layer; VERSION is 1, 2, 3 ...
//   NAME/config.json and model.safetensors            put there by hand: version 1, unless one
//                                                     was uploaded
//   NAME.json and NAME.safetensors                    the same
//   NAME/.deleted-VERSION/                            the version was there once; none has its
//                                                     number again
//   .upload-XXXXXX/                                   an upload under way, locked (flock) by its
//                                                     process; left behind where that was killed
//
// A version appears by one rename, complete and on disk, or not at all. Files that are there are
// never written to. Stateless, so thread-safe.
class LayerFolder {
 public:
  // What is known of a file without reading it; all 0 where there is none.
  struct FileStamp {
    uint64_t inode = 0;
    int64_t bytes = 0;
    int64_t modified_ns = 0;  // since 1970
    bool operator==(const FileStamp&) const = default;
  };
  // Everything that Scan looks at but what lies in the folders of the versions.
  using Stamp = std::array<FileStamp, 5>;

  // One version, as it lies there.
  struct Found {
    int64_t version = 1;
    std::filesystem::path config, model;
    FileStamp config_stamp, model_stamp;
    bool operator==(const Found&) const = default;
  };
  struct Versions {
    std::vector<Found> found;  // ascending
    int64_t next = 1;          // no version has or had this number or a higher one
  };

  // An upload that nobody sees yet. Movable; leaves nothing behind unless it was published.
  class Staging {
   public:
    Staging(Staging&&) = default;
    Staging& operator=(Staging&&) = delete;
    ~Staging();

    // model.safetensors, empty, to be written.
    const FileHandle& model() const { return model_; }

   private:
    friend class LayerFolder;
    Staging() = default;

    std::filesystem::path path_;
    FileHandle folder_;  // locked
    FileHandle model_;
  };

  // Makes the folder if there is none, and removes what killed uploads have left. As LastError.
  static absl::StatusOr<LayerFolder> Open(std::filesystem::path path);

  // What is there by name, without those whose names begin with a '.'; also names of which Scan
  // finds nothing, or that IsLayerName refuses.
  absl::StatusOr<std::vector<std::string>> Names() const;
  Stamp StampOf(const std::string& name) const;
  absl::StatusOr<Versions> Scan(const std::string& name) const;

  absl::StatusOr<Staging> Stage() const;
  // Writes config.json, waits until all is on disk, and makes it NAME/version. ALREADY_EXISTS where
  // somebody else was first: choose another number. As LastError.
  absl::Status Publish(Staging& staging, const std::string& config_json, const std::string& name,
                       int64_t version) const;

  // Removes a version; its number stays taken. As LastError.
  absl::Status Remove(const std::string& name, const Found& found) const;

 private:
  explicit LayerFolder(std::filesystem::path path) : path_(std::move(path)) {}

  void RemoveAbandoned() const;

  std::filesystem::path path_;
};

// All of a small file. INVALID_ARGUMENT where it has more than `most` bytes; as LastError.
absl::StatusOr<std::string> ReadSmallFile(const std::filesystem::path& path, size_t most);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_LAYERS_LAYER_FOLDER_H_
