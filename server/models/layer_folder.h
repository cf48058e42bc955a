#ifndef ATTENTION_SERVER_MODELS_LAYER_FOLDER_H_
#define ATTENTION_SERVER_MODELS_LAYER_FOLDER_H_

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/models/mapped_file.h"

namespace attention::engine {

// Whether `name` can name a layer, as kLayerNameRule says in words. So it is a file name as well,
// and one that stays within its folder.
bool IsLayerName(absl::string_view name);
inline constexpr char kLayerNameRule[] =
    "1 to 63 letters, digits, '.', '_' and '-', the first a letter or digit, not ending in "
    ".safetensors or .json";

// INVALID_ARGUMENT where IsLayerName says no.
absl::Status CheckLayerName(absl::string_view name);

// The folder in which layers are kept, shared by any number of processes and machines:
//
//   NAME/VERSION/config.json and model.safetensors    an uploaded layer; VERSION is 1, 2, 3 ...
//   NAME/config.json and model.safetensors            put there by hand: version 1, unless one
//                                                     was uploaded
//   NAME.json and NAME.safetensors                    the same
//   NAME/pytorch_model.bin                            the same without a model.safetensors; its
//                                                     error says how to make one
//   NAME/.deleted-VERSION/                            the version was there once; none has its
//                                                     number again. Its files go after an hour,
//                                                     with the next upload or start, since servers
//                                                     on other machines may still read them
//   .upload-XXXXXX/                                   an upload under way, whose file its process
//   has
//                                                     locked (fcntl); left behind where that was
//                                                     killed
//
// A version appears by one rename, complete and on disk, or not at all. Files that are there are
// never written to. Over a network file system others see a change when that shows it, commonly
// within seconds. Stateless, so thread-safe.
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
    Staging(Staging&& other) noexcept
        : path_(std::exchange(other.path_, {})), model_(std::move(other.model_)) {}
    Staging& operator=(Staging&&) = delete;
    ~Staging();

    // model.safetensors, empty, to be written.
    const FileHandle& model() const { return model_; }
    // Waits until it is on disk. As LastError.
    absl::Status Sync() const;

   private:
    friend class LayerFolder;
    Staging() = default;

    std::filesystem::path path_;  // empty: published
    FileHandle model_;            // locked
  };

  // Makes the folder if there is none, and removes what killed uploads have left. As LastError.
  static absl::StatusOr<LayerFolder> Open(std::filesystem::path path);

  // What is there by name, without those whose names begin with a '.'; also names of which Scan
  // finds nothing, or that IsLayerName refuses.
  absl::StatusOr<std::vector<std::string>> Names() const;
  Stamp StampOf(const std::string& name) const;
  absl::StatusOr<Versions> Scan(const std::string& name) const;

  absl::StatusOr<Staging> Stage() const;
  // Writes config.json, waits until that is on disk as the synced model is, and makes it
  // NAME/version. ALREADY_EXISTS where
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

#endif  // ATTENTION_SERVER_MODELS_LAYER_FOLDER_H_
