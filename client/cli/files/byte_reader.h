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

// Bytes that are read from front to back, straight to where they are wanted.
class ByteReader {
 public:
  virtual ~ByteReader() = default;

  // How many bytes there are, or should be, in all.
  virtual uint64_t size() const = 0;
  // Puts the next `bytes` bytes at `to`. INVALID_ARGUMENT: there are fewer, or they cannot be read;
  // what is at `to` is then unspecified.
  virtual absl::Status Read(char* to, size_t bytes) = 0;
};

// A file on disk. It is read rather than mapped: where another process makes a mapped file shorter,
// the signal SIGBUS ends the one that reads it.
class FileReader final : public ByteReader {
 public:
  // NOT_FOUND: there is no such file. INVALID_ARGUMENT: it cannot be opened, or is a folder, a pipe
  // or a device, whose size is not known before they are read.
  static absl::StatusOr<std::unique_ptr<FileReader>> Open(const std::string& path);
  ~FileReader() override;
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  uint64_t size() const override { return static_cast<uint64_t>(opened_.st_size); }
  absl::Status Read(char* to, size_t bytes) override;

  uint64_t position() const { return position_; }
  // Reads on from byte `position` of the file.
  void Seek(uint64_t position) { position_ = position; }
  // INVALID_ARGUMENT: somebody wrote to the file since it was opened, so that what was read may be
  // half of the old and half of the new.
  absl::Status CheckUnchanged() const;
  // The open file, which stays this object's.
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
