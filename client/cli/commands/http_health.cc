#include "client/cli/commands/http_health.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace attention::client {
namespace {

// The most bytes of an answer that are read; its first line is enough.
constexpr size_t kMostBytes = 4096;

absl::Status Unavailable(absl::string_view what) { return absl::UnavailableError(what); }

// A connection that never waits beyond a deadline. A health check needs one time limit for
// connecting and reading together, which no small HTTP library in Debian has.
class Socket {
 public:
  explicit Socket(absl::Time deadline) : deadline_(deadline) {}
  ~Socket() {
    if (socket_ >= 0) close(socket_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  absl::Status Open(const addrinfo& address) {
    socket_ = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return Unavailable(std::strerror(errno));
    if (connect(socket_, address.ai_addr, address.ai_addrlen) == 0) return absl::OkStatus();
    if (errno != EINPROGRESS) return Unavailable(std::strerror(errno));
    if (absl::Status status = WaitFor(POLLOUT); !status.ok()) return status;
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 ? absl::OkStatus() : Unavailable(std::strerror(error));
  }

  // Sends a request of a few bytes, which a new connection accepts at once.
  absl::Status Send(const std::string& request) {
    const ssize_t sent = send(socket_, request.data(), request.size(), MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(request.size()) ? absl::OkStatus()
                                                        : Unavailable(std::strerror(errno));
  }

  // Appends received bytes to `text` until it contains `end`, it is large, or the other side has
  // closed the connection.
  absl::Status ReadUntil(absl::string_view end, std::string& text) {
    std::array<char, kMostBytes> buffer;
    while (!absl::StrContains(text, end) && text.size() < kMostBytes) {
      if (absl::Status status = WaitFor(POLLIN); !status.ok()) return status;
      const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
      if (got < 0) return Unavailable(std::strerror(errno));
      if (got == 0) break;
      text.append(buffer.data(), static_cast<size_t>(got));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status WaitFor(short events) {  // NOLINT(google-runtime-int): poll's own
    pollfd entry = {.fd = socket_, .events = events, .revents = 0};
    const int64_t ms = absl::ToInt64Milliseconds(deadline_ - absl::Now());
    const int ready = poll(&entry, 1, static_cast<int>(std::clamp<int64_t>(ms, 0, INT32_MAX)));
    if (ready > 0) return absl::OkStatus();
    return Unavailable(ready == 0 ? "no answer in time" : std::strerror(errno));
  }

  const absl::Time deadline_;
  int socket_ = -1;
};

// Turns the first line of an answer, such as "HTTP/1.1 200 OK", into a status.
absl::Status Read(absl::string_view answer) {
  const absl::string_view line = answer.substr(0, answer.find('\r'));
  if (!absl::StartsWith(line, "HTTP/1."))
    return Unavailable("what answers there is no HTTP server");
  if (absl::StrContains(line, " 200")) return absl::OkStatus();
  return Unavailable(absl::StrCat("it is not ready: ", line));
}

absl::Status Ask(const addrinfo& address, const std::string& name, absl::Time deadline) {
  Socket connection(deadline);
  absl::Status status = connection.Open(address);
  if (!status.ok()) return status;
  status = connection.Send(
      absl::StrCat("GET /readyz HTTP/1.1\r\nHost: ", name, "\r\nConnection: close\r\n\r\n"));
  if (!status.ok()) return status;
  std::string answer;
  status = connection.ReadUntil("\r\n", answer);
  return status.ok() ? Read(answer) : status;
}

}  // namespace

absl::Status CheckReady(const std::string& address, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == address.npos || colon == 0 || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is no HOST:PORT, as in 127.0.0.1:9090"));
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);  // an IPv6 address without its brackets
  }
  const std::string service = address.substr(colon + 1);
  if (const int error = getaddrinfo(host.c_str(), service.c_str(), &hints, &found); error != 0) {
    return Unavailable(absl::StrCat(host, " is not known: ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  absl::Status status;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    status = Ask(*one, address, deadline);
    if (status.ok()) return status;
  }
  return Unavailable(absl::StrCat(address, ": ", status.message()));
}

}  // namespace attention::client
