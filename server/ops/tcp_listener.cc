#include "server/ops/tcp_listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/ops/host_port.h"

namespace attention::ops {
namespace {

// An address of a socket, without its port.
struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;

  int family() const { return storage.ss_family; }
  void set_port(int port) {  // it stands at the same place in both families
    reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(static_cast<uint16_t>(port));
  }
};

template <typename SocketAddress>
Address AddressOf(const SocketAddress& address) {
  static_assert(sizeof(address) <= sizeof(sockaddr_storage));
  Address result{.size = sizeof(address)};
  std::memcpy(&result.storage, &address, sizeof(address));
  return result;
}

Address AllOfIpv4() {
  sockaddr_in any = {};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_ANY);
  return AddressOf(any);
}

Address AllOfBoth() {
  sockaddr_in6 any = {};
  any.sin6_family = AF_INET6;
  any.sin6_addr = in6addr_any;
  return AddressOf(any);
}

// `host` without the brackets of IPv6.
absl::string_view Bare(absl::string_view host) {
  const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return in_brackets ? host.substr(1, host.size() - 2) : host;
}

absl::StatusOr<std::vector<Address>> Resolve(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return absl::UnavailableError(gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  std::vector<Address> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Address address{.size = one->ai_addrlen};
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    addresses.push_back(address);
  }
  return addresses;
}

// A socket that listens there, or one that is not open, and errno says why.
Descriptor Listen(Address address, int port) {
  address.set_port(port);
  Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return socket;
  const int yes = 1, no = 0;
  // A port is free again at once when its server has ended.
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  // The wildcard of IPv6 is that of IPv4 too; for other addresses this means nothing.
  if (address.family() == AF_INET6) {
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
  }
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 ||
      listen(socket.get(), SOMAXCONN) != 0) {
    const int why = errno;
    socket = Descriptor();
    errno = why;
  }
  return socket;
}

int PortOf(const Descriptor& socket) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

// Whether the machine, and not who else listens there, is why it has no such address.
bool LacksAddress(int error) {
  return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT;
}

// Listens at those of the addresses that the machine has. 0, or the error for which it cannot.
int ListenOnEach(const std::vector<Address>& addresses, int port, TcpListener& listener) {
  int error = EADDRNOTAVAIL;
  listener.port = port;
  listener.sockets.clear();
  for (const Address& address : addresses) {
    Descriptor socket = Listen(address, listener.port);
    if (!socket.is_open()) {
      error = errno;
      if (LacksAddress(error)) continue;
      return error;
    }
    listener.port = PortOf(socket);  // the same one at the next address
    listener.sockets.push_back(std::move(socket));
  }
  return listener.sockets.empty() ? error : 0;
}

}  // namespace

absl::StatusOr<TcpListener> ListenOnTcp(const std::string& host, int port) {
  const auto failed = [&](absl::string_view why) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", HostPort(host, port), ": ", why));
  };
  const absl::string_view bare = Bare(host);
  const bool is_wildcard = bare == "0.0.0.0" || bare == "::";
  TcpListener listener;
  int error = 0;
  if (is_wildcard) {
    error = ListenOnEach({AllOfBoth()}, port, listener);
    if (LacksAddress(error)) {
      error = ListenOnEach({AllOfIpv4()}, port, listener);
      listener.lacks_ipv6 = true;
    }
  } else {
    const auto addresses = Resolve(std::string(bare));
    if (!addresses.ok()) return failed(addresses.status().message());
    // A port that is free at one address may be taken at the next; then another one is tried.
    for (int tries = port == 0 ? 10 : 1; tries > 0; --tries) {
      error = ListenOnEach(*addresses, port, listener);
      if (error != EADDRINUSE) break;
    }
  }
  if (error != 0) return failed(std::strerror(error));
  return listener;
}

}  // namespace attention::ops
