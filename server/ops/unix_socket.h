#ifndef ATTENTION_SERVER_OPS_UNIX_SOCKET_H_
#define ATTENTION_SERVER_OPS_UNIX_SOCKET_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/ops/descriptor.h"

namespace attention::ops {

// Whether `path` can be that of a Unix socket: 1 to 107 bytes, Linux's limit. INVALID_ARGUMENT.
absl::Status CheckUnixSocketPath(const std::string& path);

// "unix:PATH" as gRPC takes it for a target; what means something else in a URI is escaped.
std::string UnixTarget(const std::string& path);

// The right to listen at a path: of all processes that ask for it in this way, one has it. gRPC
// itself would remove the socket of a server that lives, and when it ends, that of its successor.
//
// The right is a lock on the file PATH.lock, which the kernel lets go of when the process ends,
// however it ends. Gone with this object: the lock, its file and the socket.
class UnixSocketClaim {
 public:
  // Removes the socket that a server which ended without doing so has left there. INVALID_ARGUMENT
  // as CheckUnixSocketPath. UNAVAILABLE, saying what to do: somebody listens there, something else
  // than a socket is there, or the folder is not there or cannot be written to.
  static absl::StatusOr<std::unique_ptr<UnixSocketClaim>> Make(const std::string& path);

  // After the one who listened there has ended.
  ~UnixSocketClaim();
  UnixSocketClaim(const UnixSocketClaim&) = delete;
  UnixSocketClaim& operator=(const UnixSocketClaim&) = delete;

 private:
  UnixSocketClaim(std::string path, Descriptor lock);

  const std::string path_;
  const Descriptor lock_;
};

// Calls `create`; what the process creates meanwhile in the file system has no more rights than
// `mode`, and a socket has these. Of the whole process, whose other threads should create nothing.
void WithMostFileMode(mode_t mode, absl::FunctionRef<void()> create);

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_UNIX_SOCKET_H_
