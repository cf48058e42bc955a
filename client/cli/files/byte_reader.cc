#include "client/cli/files/byte_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace attention::client {

absl::StatusOr<std::unique_ptr<FileReader>> FileReader::Open(const std::string& path) {
  // Without O_NONBLOCK, opening a pipe would wait until some process writes to it.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return errno == ENOENT ? absl::NotFoundError("there is no such file")
                           : absl::InvalidArgumentError(
                                 absl::StrCat("it cannot be opened: ", std::strerror(errno)));
  }
  absl::Cleanup close_it = [descriptor] { close(descriptor); };
  struct stat opened;
  if (fstat(descriptor, &opened) != 0) return absl::InvalidArgumentError(std::strerror(errno));
  if (S_ISDIR(opened.st_mode)) return absl::InvalidArgumentError("it is a folder; want a file");
  if (!S_ISREG(opened.st_mode)) {
    return absl::InvalidArgumentError(
        "it is a pipe or a device, whose size is not known; want a file on disk");
  }
  std::move(close_it).Cancel();
  return std::unique_ptr<FileReader>(new FileReader(descriptor, opened));
}

FileReader::~FileReader() { close(descriptor_); }

absl::Status FileReader::Read(char* to, size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = pread(descriptor_, to, bytes, static_cast<off_t>(position_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::InvalidArgumentError(absl::StrCat("it cannot be read: ", std::strerror(errno)));
    }
    if (got == 0) {
      return absl::InvalidArgumentError(absl::StrCat("it ends early, after ", position_, " bytes"));
    }
    position_ += static_cast<uint64_t>(got);
    to += got;
    bytes -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status FileReader::CheckUnchanged() const {
  struct stat now;
  if (fstat(descriptor_, &now) != 0) return absl::InvalidArgumentError(std::strerror(errno));
  if (now.st_size == opened_.st_size && now.st_mtim.tv_sec == opened_.st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == opened_.st_mtim.tv_nsec) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "it was changed while it was read; try again once it is complete");
}

}  // namespace attention::client
