#include "server/end_connections.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"

namespace attention {
namespace {

// The local end of a socket.
struct LocalAddress {
  explicit LocalAddress(int fd) {
    socklen_t size = sizeof(storage);
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) == 0) {
      family = storage.ss_family;
    }
  }

  bool IsPort(int port) const {
    if (family != AF_INET && family != AF_INET6) return false;
    // The port stands at the same place in both.
    return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port) == port;
  }

  bool IsPath(const std::string& path) const {
    if (family != AF_UNIX || path.empty()) return false;
    // A client's end has no path. The storage is larger than a path, so a NUL ends it.
    return reinterpret_cast<const sockaddr_un*>(&storage)->sun_path == path;
  }

  sockaddr_storage storage = {};
  int family = AF_UNSPEC;
};

bool Listens(int fd) {
  int listens = 0;
  socklen_t size = sizeof(listens);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

// Calls use(fd) for all sockets whose local end is where the server listens.
template <typename Use>
void ForEachSocket(int port, const std::string& unix_socket, Use use) {
  std::error_code ignored;  // connections come and go while they are looked at
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    int fd = -1;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &fd)) continue;
    const LocalAddress local(fd);
    if (local.IsPort(port) || local.IsPath(unix_socket)) use(fd);
  }
}

}  // namespace

void EndConnections(int port, const std::string& unix_socket) {
  // First the door: whose connection ends may want another at once.
  ForEachSocket(port, unix_socket, [](int fd) {
    if (Listens(fd)) shutdown(fd, SHUT_RDWR);
  });
  ForEachSocket(port, unix_socket, [](int fd) { shutdown(fd, SHUT_WR); });
}

}  // namespace attention
