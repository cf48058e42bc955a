#ifndef ATTENTION_CLIENT_CLI_FILES_BYTE_READER_H_
#define ATTENTION_CLIENT_CLI_FILES_BYTE_READER_H_

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attention::client {

// Reads bytes from front to back, directly into the memory where they are wanted.
class ByteReader {
 public:
  virtual ~ByteReader() = default;

  // The number of bytes that there are, or should be, in all.
  virtual uint64_t size() const = 0;
  // Puts the next `bytes` bytes at `to`. INVALID_ARGUMENT if there are fewer, or they cannot be
  // read; the memory at `to` is then unspecified.
  virtual absl::Status Read(char* to, size_t bytes) = 0;
};

// A file on disk. It is read rather than mapped, because if another process truncates a mapped
// file, the signal SIGBUS ends the process that reads it.
class FileReader final : public ByteReader {
 public:
  // NOT_FOUND if there is no such file. INVALID_ARGUMENT if it cannot be opened, or is a folder, a
  // pipe or a device, whose size is not known before it is read.
  static absl::StatusOr<std::unique_ptr<FileReader>> Open(const std::string& path);
  ~FileReader() override;
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  uint64_t size() const override { return static_cast<uint64_t>(opened_.st_size); }
  absl::Status Read(char* to, size_t bytes) override;

  uint64_t position() const { return position_; }
  // The next Read begins at byte `position` of the file.
  void Seek(uint64_t position) { position_ = position; }
  // INVALID_ARGUMENT if the file was written to since it was opened, so that the bytes that were
  // read may mix old and new contents.
  absl::Status CheckUnchanged() const;
  // The descriptor of the open file, which this object still owns.
  int descriptor() const { return descriptor_; }

 private:
  FileReader(int descriptor, const struct stat& opened)
      : descriptor_(descriptor), opened_(opened) {}

  const int descriptor_;
  const struct stat opened_;  // what the file was when it was opened
  uint64_t position_ = 0;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_BYTE_READER_H_
