#ifndef ATTENTION_TESTS_SERVER_HTTP_PEER_H_
#define ATTENTION_TESTS_SERVER_HTTP_PEER_H_

#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/ops/descriptor.h"

namespace attention {

// One TCP connection to a server of HTTP, which says just what a test says. What waits for the
// server gives up after 30 s, so that a test fails and does not hang.
class HttpPeer {
 public:
  // To an IPv4 or IPv6 address; an `address` is in brackets in neither case.
  HttpPeer(const std::string& address, int port) {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    EXPECT_EQ(getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found), 0);
    if (found == nullptr) return;
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
    socket_ = ops::Descriptor(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval most = {.tv_sec = 30, .tv_usec = 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    is_connected_ = connect(socket_.get(), found->ai_addr, found->ai_addrlen) == 0;
  }

  bool is_connected() const { return is_connected_; }
  int socket() const { return socket_.get(); }

  // False: the server has closed the connection.
  bool Send(absl::string_view bytes) const {
    return send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  // All that the server sends until it closes the connection.
  std::string Read() const {
    std::string all;
    char part[4096];
    ssize_t n = 0;
    while ((n = recv(socket_.get(), part, sizeof(part), 0)) > 0) {
      all.append(part, static_cast<size_t>(n));
    }
    EXPECT_FALSE(n < 0 && errno == EAGAIN) << "the server keeps the connection open";
    return all;
  }

  // Whether the server has said something, or closed the connection, by now.
  bool HasHeard() const {
    pollfd event = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
    return poll(&event, 1, 0) > 0;
  }

  // The answer to a request without a body, headers included.
  std::string Ask(absl::string_view method, absl::string_view path) const {
    EXPECT_TRUE(Send(absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: test\r\n\r\n")));
    return Read();
  }

 private:
  ops::Descriptor socket_;
  bool is_connected_ = false;
};

// The answer to GET `path` at "HOST:PORT", of which the host is the loopback of IPv4.
inline std::string HttpGet(const std::string& address, absl::string_view path) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) << address;
  return HttpPeer("127.0.0.1", port).Ask("GET", path);
}

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_HTTP_PEER_H_
