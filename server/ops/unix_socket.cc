#include "server/ops/unix_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace attention::ops {
namespace {

constexpr size_t kMostPathBytes = sizeof(sockaddr_un::sun_path) - 1;  // a NUL ends it

std::string LockPath(const std::string& path) { return absl::StrCat(path, ".lock"); }

absl::Status CannotListen(const std::string& path, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("cannot listen on unix:", path, ": ", why));
}

absl::Status IsInUse(const std::string& path) {
  return CannotListen(path,
                      "another server that runs listens there; stop it, or choose another "
                      "--unix_socket");
}

// 0, or the error of connecting to the socket at `path`; does not wait.
int Connect(const std::string& path) {
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* const any = reinterpret_cast<const sockaddr*>(&address);
  return connect(socket.get(), any, sizeof(address)) == 0 ? 0 : errno;
}

// Removes a socket at which nobody listens any more. Fails where something else is there.
absl::Status RemoveStale(const std::string& path) {
  struct stat found = {};
  if (lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return CannotListen(path, std::strerror(errno));
  }
  if (!S_ISSOCK(found.st_mode)) {
    return CannotListen(path,
                        "what is there is no socket; remove it, or choose another --unix_socket");
  }
  const int error = Connect(path);
  if (error == 0 || error == EAGAIN) return IsInUse(path);  // EAGAIN: many wait for it
  if (error != ECONNREFUSED) {
    return CannotListen(
        path, absl::StrCat("the socket that is there may be another server's: ",
                           std::strerror(error), "; remove it, or choose another --unix_socket"));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return CannotListen(path, absl::StrCat("cannot remove the socket of a server that has ended: ",
                                           std::strerror(errno)));
  }
  return absl::OkStatus();
}

// Whether `file`, which is open, is still the one at `path`.
bool IsAt(const Descriptor& file, const std::string& path) {
  struct stat opened = {}, found = {};
  return fstat(file.get(), &opened) == 0 && lstat(path.c_str(), &found) == 0 &&
         opened.st_dev == found.st_dev && opened.st_ino == found.st_ino;
}

// The locked file beside the socket's path.
absl::StatusOr<Descriptor> Lock(const std::string& path) {
  const std::string lock_path = LockPath(path);
  for (;;) {
    Descriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock.is_open()) {
      return CannotListen(
          path, absl::StrCat("cannot create ", lock_path, ": ", std::strerror(errno),
                             "; --unix_socket must be in a folder that the server may write to"));
    }
    if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return IsInUse(path);
      return CannotListen(path,
                          absl::StrCat("cannot lock ", lock_path, ": ", std::strerror(errno)));
    }
    // Its owner may have removed it since it was opened; then somebody else may have made another.
    if (IsAt(lock, lock_path)) return lock;
  }
}

}  // namespace

absl::Status CheckUnixSocketPath(const std::string& path) {
  if (path.empty() || path.size() > kMostPathBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("--unix_socket has ", path.size(), " bytes; want 1 to ", kMostPathBytes,
                     ", the most that a Unix socket's path can have"));
  }
  if (path.find('\0') != path.npos) {
    return absl::InvalidArgumentError("--unix_socket has a NUL byte; want a path");
  }
  return absl::OkStatus();
}

std::string UnixTarget(const std::string& path) {
  constexpr absl::string_view kPlain = "/-._~";
  std::string target = "unix:";
  for (const char c : path) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || kPlain.find(c) != kPlain.npos) {
      target.push_back(c);
    } else {
      absl::StrAppendFormat(&target, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return target;
}

absl::StatusOr<std::unique_ptr<UnixSocketClaim>> UnixSocketClaim::Make(const std::string& path) {
  if (absl::Status status = CheckUnixSocketPath(path); !status.ok()) return status;
  absl::StatusOr<Descriptor> lock = Lock(path);
  if (!lock.ok()) return lock.status();
  // From here on the file goes with the claim, whether it holds or not.
  std::unique_ptr<UnixSocketClaim> claim(new UnixSocketClaim(path, *std::move(lock)));
  if (absl::Status status = RemoveStale(path); !status.ok()) return status;
  return claim;
}

UnixSocketClaim::UnixSocketClaim(std::string path, Descriptor lock)
    : path_(std::move(path)), lock_(std::move(lock)) {}

UnixSocketClaim::~UnixSocketClaim() {
  RemoveStale(path_).IgnoreError();  // gRPC does so itself, where it ends as it should
  unlink(LockPath(path_).c_str());
}

void WithMostFileMode(mode_t mode, absl::FunctionRef<void()> create) {
  // The mask is the process's; nothing else of ours changes it. `create` must not come here again.
  static absl::Mutex mutex(absl::kConstInit);
  const absl::MutexLock lock(&mutex);
  const mode_t before = umask(0777 & ~mode);
  create();
  umask(before);
}

}  // namespace attention::ops
