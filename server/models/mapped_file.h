#ifndef ATTENTION_SERVER_MODELS_MAPPED_FILE_H_
#define ATTENTION_SERVER_MODELS_MAPPED_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace attention::engine {

// A file descriptor; closes it. Movable.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept;
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle();

  // A regular file, for reading; links are followed. FAILED_PRECONDITION where it is of another
  // kind; as LastError.
  static absl::StatusOr<FileHandle> Open(const std::string& path);
  // A file in memory that has no name anywhere. As LastError.
  static absl::StatusOr<FileHandle> InMemory();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// What the last system call that failed says, as a status: NOT_FOUND, PERMISSION_DENIED,
// RESOURCE_EXHAUSTED (no room), else UNAVAILABLE. `what` is what was tried: "cannot open X".
absl::Status LastError(absl::string_view what);

// Writes all of `bytes`. As LastError.
absl::Status WriteAll(const FileHandle& file, absl::Span<const std::byte> bytes);

// All bytes of a file, mapped for reading. Whoever cuts a file short that is mapped breaks the
// process: files of a layer folder are replaced, never changed. Movable.
class MappedFile {
 public:
  // As LastError. The handle may be closed afterwards.
  static absl::StatusOr<MappedFile> Map(const FileHandle& file);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  absl::Span<const std::byte> bytes() const { return bytes_; }

  // Gives the pages back that reading made resident; reading them again fetches them again.
  // `part` lies within bytes().
  void Release(absl::Span<const std::byte> part) const;
  void Release() const { Release(bytes_); }

 private:
  explicit MappedFile(absl::Span<const std::byte> bytes) : bytes_(bytes) {}

  absl::Span<const std::byte> bytes_;
};

// SHA-256 (FIPS 180-4) of `file`, 64 hexadecimal digits. Gives back the pages that it reads.
std::string Sha256(const MappedFile& file);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_MAPPED_FILE_H_
