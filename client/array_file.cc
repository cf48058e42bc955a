#include "client/array_file.h"

#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/npy.h"
#include "client/safetensors_file.h"

namespace attention::client {
namespace {

constexpr char kNpy[] = ".npy", kNpz[] = ".npz", kSafetensors[] = ".safetensors";
constexpr char kEndings[] = "want a name that ends in .npy, .npz or .safetensors";
// Deflate makes a byte of no more (zlib's technical details, zlib.net/zlib_tech.html).
constexpr zip_uint64_t kMostInflated = 1032;

absl::Status Error(absl::string_view what) { return absl::InvalidArgumentError(what); }

// A reference taken apart.
struct Place {
  std::string path;
  std::string name;          // of the array in it, or empty
  absl::string_view ending;  // of the path; empty: none of ours
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

absl::StatusOr<std::string> ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::NotFoundError(std::strerror(errno));
  const std::streamoff bytes = file.tellg();
  if (bytes > kMostArrayBytes) return Error(absl::StrCat("it has ", bytes, " bytes"));
  std::string text(static_cast<size_t>(bytes), '\0');
  file.seekg(0);
  if (!file.read(text.data(), bytes)) return Error("it cannot be read");
  return text;
}

absl::StatusOr<v1::Tensor> ReadNpy(const Place& place) {
  if (!place.name.empty()) return Error("a .npy file holds one array, which has no name");
  const absl::StatusOr<std::string> bytes = ReadBytes(place.path);
  if (!bytes.ok()) return bytes.status();
  return TensorFromNpy(*bytes);
}

struct CloseZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, CloseZip>;

// The status with what it is about before its message.
absl::Status In(const std::string& what, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
}

// An entry of an archive, whose size the archive only claims.
absl::StatusOr<std::string> ReadEntry(zip_t& archive, const zip_stat_t& stat) {
  constexpr zip_uint64_t kKnown = ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
  if ((stat.valid & kKnown) != kKnown || stat.size / kMostInflated > stat.comp_size) {
    return Error("it cannot have as many bytes as it says");
  }
  if (stat.size > kMostArrayBytes) return Error(absl::StrCat("it has ", stat.size, " bytes"));
  const std::unique_ptr<zip_file_t, CloseZip> file(zip_fopen_index(&archive, stat.index, 0));
  if (file == nullptr) return Error(absl::StrCat("it cannot be read: ", zip_strerror(&archive)));
  std::string bytes(stat.size, '\0');
  char beyond = 0;
  // The read that meets the end is the one that checks the sum.
  if (zip_fread(file.get(), bytes.data(), stat.size) != static_cast<zip_int64_t>(stat.size) ||
      zip_fread(file.get(), &beyond, 1) != 0) {
    return Error(absl::StrCat("it is damaged: ", zip_file_strerror(file.get())));
  }
  return bytes;
}

absl::StatusOr<v1::Tensor> ReadNpz(const Place& place) {
  int code = 0;
  const Archive archive(zip_open(place.path.c_str(), ZIP_RDONLY, &code));
  if (archive == nullptr) {
    return code == ZIP_ER_NOENT ? absl::NotFoundError("there is no such file")
                                : Error("it is no .npz file, which is a zip archive");
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
  const absl::StatusOr<std::string> bytes = ReadEntry(*archive, stat);
  if (!bytes.ok()) return In(wanted, bytes.status());
  return TensorFromNpy(*bytes);
}

absl::Status WriteBytes(const std::string& path, absl::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  if (file << bytes << std::flush) return absl::OkStatus();
  return Error(std::strerror(errno));
}

absl::Status WriteNpz(const std::string& path, absl::Span<const NamedTensor> tensors) {
  std::vector<std::string> files;  // which the archive reads when it is closed
  for (const NamedTensor& named : tensors) {
    absl::StatusOr<std::string> file = NpyFromTensor(named.tensor);
    if (!file.ok()) return file.status();
    files.push_back(*std::move(file));
  }
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (archive == nullptr) return Error(std::strerror(errno));
  for (size_t i = 0; i < files.size(); ++i) {
    zip_source_t* const source =
        zip_source_buffer(archive.get(), files[i].data(), files[i].size(), /*freep=*/0);
    const std::string name = absl::StrCat(tensors[i].name, kNpy);
    const zip_int64_t index = zip_file_add(archive.get(), name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      return Error(zip_strerror(archive.get()));
    }
    // As numpy.savez: numbers hardly shrink, and such an archive can be mapped.
    zip_set_file_compression(archive.get(), static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
  }
  if (zip_close(archive.get()) != 0) return Error(zip_strerror(archive.get()));
  archive.release();  // closed
  return absl::OkStatus();
}

absl::Status Write(const Place& place, absl::Span<const NamedTensor> tensors) {
  if (place.ending == kNpz) return WriteNpz(place.path, tensors);
  if (place.ending == kNpy && tensors.size() != 1) {
    return Error(absl::StrCat("a .npy file holds one array, and there are ", tensors.size(),
                              "; want .npz or .safetensors"));
  }
  const absl::StatusOr<std::string> bytes =
      place.ending == kNpy ? NpyFromTensor(tensors[0].tensor) : SafetensorsFrom(tensors);
  return bytes.ok() ? WriteBytes(place.path, *bytes) : bytes.status();
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

absl::StatusOr<v1::Tensor> ReadArray(const std::string& reference) {
  const Place place = TakeApart(reference);
  if (place.ending.empty()) {
    return In(reference, Error(kEndings));
  }
  absl::StatusOr<v1::Tensor> tensor = place.ending == kNpy ? ReadNpy(place)
                                      : place.ending == kNpz
                                          ? ReadNpz(place)
                                          : ReadSafetensor(place.path, place.name);
  return tensor.ok() ? tensor : In(reference, tensor.status());
}

absl::Status CheckArrayPath(const std::string& path) {
  const Place place = TakeApart(path);
  if (place.name.empty() && !place.ending.empty()) return absl::OkStatus();
  return In(path, Error(kEndings));
}

absl::Status WriteArrays(const std::string& path, absl::Span<const NamedTensor> tensors) {
  if (absl::Status status = CheckArrayPath(path); !status.ok()) return status;
  absl::Status status = Write(TakeApart(path), tensors);
  return status.ok() ? status : In(path, status);
}

}  // namespace attention::client
