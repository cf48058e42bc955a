#include "client/cli/files/array_file.h"

#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/files/byte_reader.h"
#include "client/cli/files/npy.h"
#include "client/cli/files/safetensors_file.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

constexpr char kNpy[] = ".npy", kNpz[] = ".npz", kSafetensors[] = ".safetensors";
constexpr char kEndings[] = "want a name that ends in .npy, .npz or .safetensors";
// Deflate expands one byte to at most this number of bytes (zlib.net/zlib_tech.html).
constexpr zip_uint64_t kMostInflated = 1032;

// The parts of a reference.
struct Place {
  std::string path;
  std::string name;          // of the array in it, or empty
  absl::string_view ending;  // of the path; empty if it is none that is known
};

Place TakeApart(absl::string_view reference) {
  for (const char* const ending : {kNpy, kNpz, kSafetensors}) {
    if (absl::EndsWith(reference, ending)) return {std::string(reference), "", ending};
    const size_t at = reference.find(absl::StrCat(ending, ":"));
    if (at == reference.npos) continue;
    const size_t colon = at + std::strlen(ending);
    return {std::string(reference.substr(0, colon)), std::string(reference.substr(colon + 1)),
            ending};
  }
  return {std::string(reference), "", ""};
}

struct CloseZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, CloseZip>;

// Puts the name of the file or array before the message of a status.
absl::Status In(const std::string& what, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
}

// An entry of an archive, unpacked as it is read.
class EntryReader final : public ByteReader {
 public:
  static absl::StatusOr<EntryReader> Open(zip_t& archive, const zip_stat_t& stat) {
    constexpr zip_uint64_t kKnown = ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if ((stat.valid & kKnown) != kKnown || stat.size / kMostInflated > stat.comp_size) {
      return absl::InvalidArgumentError("it cannot have as many bytes as it says");
    }
    zip_file_t* const entry = zip_fopen_index(&archive, stat.index, 0);
    if (entry == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("it cannot be read: ", zip_strerror(&archive)));
    }
    return EntryReader(entry, stat.size);
  }

  // The size that the archive claims.
  uint64_t size() const override { return size_; }

  absl::Status Read(char* to, size_t bytes) override {
    while (bytes > 0) {
      const zip_int64_t got = zip_fread(entry_.get(), to, bytes);
      if (got <= 0) return Damaged();
      to += got;
      bytes -= static_cast<size_t>(got);
    }
    return absl::OkStatus();
  }

  // Checks that there are no more bytes and that the checksum is that of the archive. libzip checks
  // it in the read that meets the end.
  absl::Status CheckEnd() {
    char beyond = 0;
    return zip_fread(entry_.get(), &beyond, 1) == 0 ? absl::OkStatus() : Damaged();
  }

 private:
  EntryReader(zip_file_t* entry, uint64_t size) : entry_(entry), size_(size) {}

  absl::Status Damaged() {
    return absl::InvalidArgumentError(
        absl::StrCat("it is damaged: ", zip_file_strerror(entry_.get())));
  }

  std::unique_ptr<zip_file_t, CloseZip> entry_;
  uint64_t size_;
};

absl::StatusOr<v1::Tensor> ReadNpyEntry(zip_t& archive, const zip_stat_t& stat,
                                        uint64_t most_bytes) {
  absl::StatusOr<EntryReader> entry = EntryReader::Open(archive, stat);
  if (!entry.ok()) return entry.status();
  absl::StatusOr<v1::Tensor> tensor = ReadNpy(*entry, most_bytes);
  if (!tensor.ok()) return tensor;
  const absl::Status end = entry->CheckEnd();
  return end.ok() ? std::move(tensor) : end;
}

// Opens the archive in a file that is already open.
Archive OpenArchive(const FileReader& file) {
  const int descriptor = dup(file.descriptor());  // a copy, because the archive closes its
                                                  // descriptor
  int code = 0;
  zip_t* const archive = zip_fdopen(descriptor, 0, &code);
  if (archive == nullptr) close(descriptor);
  return Archive(archive);
}

absl::StatusOr<v1::Tensor> ReadNpz(const FileReader& file, const Place& place,
                                   uint64_t most_bytes) {
  const Archive archive = OpenArchive(file);
  if (archive == nullptr) {
    return absl::InvalidArgumentError("it is no .npz file, which is a zip archive");
  }
  std::vector<std::string> names;
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* const name = zip_get_name(archive.get(), static_cast<zip_uint64_t>(i), 0);
    absl::string_view array = name == nullptr ? "" : name;
    if (absl::ConsumeSuffix(&array, kNpy)) names.emplace_back(array);
  }
  const std::string& wanted = place.name.empty() && names.size() == 1 ? names[0] : place.name;
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (std::find(names.begin(), names.end(), wanted) == names.end() ||
      zip_stat(archive.get(), absl::StrCat(wanted, kNpy).c_str(), 0, &stat) != 0) {
    return NoSuchArray(place.name, names);
  }
  absl::StatusOr<v1::Tensor> tensor = ReadNpyEntry(*archive, stat, most_bytes);
  return tensor.ok() ? std::move(tensor) : In(wanted, tensor.status());
}

absl::StatusOr<v1::Tensor> Read(const Place& place, uint64_t most_bytes) {
  if (place.ending == kNpy && !place.name.empty()) {
    return absl::InvalidArgumentError("a .npy file holds one array, which has no name");
  }
  const absl::StatusOr<std::unique_ptr<FileReader>> file = FileReader::Open(place.path);
  if (!file.ok()) return file.status();
  absl::StatusOr<v1::Tensor> tensor = place.ending == kNpy ? ReadNpy(**file, most_bytes)
                                      : place.ending == kNpz
                                          ? ReadNpz(**file, place, most_bytes)
                                          : ReadSafetensor(**file, place.name, most_bytes);
  // If the file was changed while it was read, that is the true reason of a failure.
  const absl::Status unchanged = (*file)->CheckUnchanged();
  return unchanged.ok() ? std::move(tensor) : unchanged;
}

absl::Status WriteNpy(const std::string& path, const v1::Tensor& tensor) {
  absl::StatusOr<NpyPieces> pieces = NpyPieces::Of(tensor);
  if (!pieces.ok()) return pieces.status();
  std::ofstream file(path, std::ios::binary);
  for (absl::string_view piece = pieces->Next(); file && !piece.empty(); piece = pieces->Next()) {
    file << piece;
  }
  return file << std::flush ? absl::OkStatus() : absl::InvalidArgumentError(std::strerror(errno));
}

absl::Status WriteSafetensors(const std::string& path, absl::Span<const NamedTensor> tensors) {
  const absl::StatusOr<std::string> header = SafetensorsHeader(tensors);
  if (!header.ok()) return header.status();
  std::ofstream file(path, std::ios::binary);
  file << *header;
  for (const NamedTensor& named : tensors) {
    if (file) file << named.tensor->data();
  }
  return file << std::flush ? absl::OkStatus() : absl::InvalidArgumentError(std::strerror(errno));
}

// The source of an entry, which the archive reads when it is closed.
struct EntrySource {
  NpyPieces pieces;
  absl::string_view rest = "";  // what is left of the current piece
};

// Serves the requests of libzip to a source (zip_source_function(3)).
zip_int64_t ServeEntry(void* source, void* data, zip_uint64_t bytes, zip_source_cmd_t command) {
  auto& entry = *static_cast<EntrySource*>(source);
  switch (command) {
    case ZIP_SOURCE_SUPPORTS:
      return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                            ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
    case ZIP_SOURCE_OPEN:
      entry.pieces.Rewind();
      entry.rest = "";
      return 0;
    case ZIP_SOURCE_READ: {
      if (entry.rest.empty()) entry.rest = entry.pieces.Next();
      const size_t given = std::min<size_t>(bytes, entry.rest.size());
      std::memcpy(data, entry.rest.data(), given);
      entry.rest.remove_prefix(given);
      return static_cast<zip_int64_t>(given);
    }
    case ZIP_SOURCE_STAT: {
      auto& stat = *static_cast<zip_stat_t*>(data);
      zip_stat_init(&stat);
      stat.valid = ZIP_STAT_SIZE;
      stat.size = entry.pieces.bytes();
      return sizeof(stat);
    }
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:  // WriteNpz owns the source
      return 0;
    default:  // no operation here can fail
      return -1;
  }
}

absl::Status WriteNpz(const std::string& path, absl::Span<const NamedTensor> tensors) {
  std::vector<EntrySource> entries;
  for (const NamedTensor& named : tensors) {
    absl::StatusOr<NpyPieces> pieces = NpyPieces::Of(*named.tensor);
    if (!pieces.ok()) return pieces.status();
    entries.push_back({*std::move(pieces)});
  }
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (archive == nullptr) return absl::InvalidArgumentError(std::strerror(errno));
  for (size_t i = 0; i < entries.size(); ++i) {
    zip_source_t* const source = zip_source_function(archive.get(), ServeEntry, &entries[i]);
    const std::string name = absl::StrCat(tensors[i].name, kNpy);
    const zip_int64_t index = zip_file_add(archive.get(), name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      return absl::InvalidArgumentError(zip_strerror(archive.get()));
    }
    // Entries are not compressed, as in numpy.savez, because numbers hardly shrink and such an
    // archive can be mapped.
    zip_set_file_compression(archive.get(), static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
  }
  if (zip_close(archive.get()) != 0) return absl::InvalidArgumentError(zip_strerror(archive.get()));
  archive.release();  // closed
  return absl::OkStatus();
}

absl::Status Write(const Place& place, absl::Span<const NamedTensor> tensors) {
  if (place.ending == kNpz) return WriteNpz(place.path, tensors);
  if (place.ending == kSafetensors) return WriteSafetensors(place.path, tensors);
  if (tensors.size() == 1) return WriteNpy(place.path, *tensors[0].tensor);
  return absl::InvalidArgumentError(absl::StrCat("a .npy file holds one array, and there are ",
                                                 tensors.size(), "; want .npz or .safetensors"));
}

}  // namespace

absl::Status NoSuchArray(const std::string& name, std::vector<std::string> names) {
  constexpr size_t kMostListed = 20;
  const size_t count = names.size();
  if (count == 0) return absl::NotFoundError("it holds no arrays");
  names.resize(std::min(count, kMostListed));
  return absl::NotFoundError(
      absl::StrCat(name.empty() ? "it holds several arrays; say which, as in FILE:NAME"
                                : absl::StrCat("it holds no \"", name, "\""),
                   "; there are ", absl::StrJoin(names, ", "), count > kMostListed ? ", ..." : ""));
}

absl::Status TooLargeForMessage(uint64_t bytes, uint64_t most_bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat("it has ", bytes, " bytes, and the message room for ", most_bytes,
                   "; send less at a time, or start server and client with a larger "
                   "--max_message_mib"));
}

absl::StatusOr<v1::Tensor> ReadArray(const std::string& reference, uint64_t most_bytes) {
  const Place place = TakeApart(reference);
  if (place.ending.empty()) return In(reference, absl::InvalidArgumentError(kEndings));
  absl::StatusOr<v1::Tensor> tensor = Read(place, most_bytes);
  return tensor.ok() ? std::move(tensor) : In(reference, tensor.status());
}

absl::Status CheckArrayPath(const std::string& path) {
  const Place place = TakeApart(path);
  if (place.name.empty() && !place.ending.empty()) return absl::OkStatus();
  return In(path, absl::InvalidArgumentError(kEndings));
}

absl::Status WriteArrays(const std::string& path, absl::Span<const NamedTensor> tensors) {
  if (absl::Status status = CheckArrayPath(path); !status.ok()) return status;
  // Results that came as numbers, for requests typed by hand, are converted; all others are written
  // without a copy.
  std::deque<v1::Tensor> converted;
  std::vector<NamedTensor> with_bytes(tensors.begin(), tensors.end());
  for (NamedTensor& named : with_bytes) {
    if (named.tensor->float_values().empty()) continue;
    absl::StatusOr<v1::Tensor> bytes = AsBytes(*named.tensor);
    if (!bytes.ok()) return In(path, bytes.status());
    converted.push_back(*std::move(bytes));
    named.tensor = &converted.back();
  }
  absl::Status status = Write(TakeApart(path), with_bytes);
  return status.ok() ? status : In(path, status);
}

}  // namespace attention::client
