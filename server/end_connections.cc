#include "server/end_connections.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"

namespace attention {
namespace {

// Whether `fd` is a TCP socket of this local port.
bool IsOfPort(int fd, int port) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return false;
  // The port stands at the same place in both.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port) == port;
}

bool Listens(int fd) {
  int listens = 0;
  socklen_t size = sizeof(listens);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

// Calls use(fd) for all sockets of a local port.
template <typename Use>
void ForEachSocket(int port, Use use) {
  std::error_code ignored;  // connections come and go while they are looked at
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    int fd = -1;
    if (absl::SimpleAtoi(entry.path().filename().string(), &fd) && IsOfPort(fd, port)) use(fd);
  }
}

}  // namespace

void EndConnections(int port) {
  // First the door: whose connection ends may want another at once.
  ForEachSocket(port, [](int fd) {
    if (Listens(fd)) shutdown(fd, SHUT_RDWR);
  });
  ForEachSocket(port, [](int fd) { shutdown(fd, SHUT_WR); });
}

}  // namespace attention
