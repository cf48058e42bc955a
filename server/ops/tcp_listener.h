#ifndef ATTENTION_SERVER_OPS_TCP_LISTENER_H_
#define ATTENTION_SERVER_OPS_TCP_LISTENER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ops/descriptor.h"

namespace attention::ops {

// Sockets that listen at one port, and do not block.
struct TcpListener {
  std::vector<Descriptor> sockets;  // at least one
  int port = 0;
  // All addresses were asked for, and these are IPv4's alone, since the machine has no IPv6.
  bool lacks_ipv6 = false;
};

// Listens at an address or a name, with the same meaning as gRPC gives it: "0.0.0.0" and "[::]" are
// all addresses of the machine, of IPv4 and of IPv6; a name is each of its addresses that the
// machine has ("localhost": 127.0.0.1 and ::1). IPv6 addresses may stand in brackets. `port` 0
// picks a free one. UNAVAILABLE, naming the address and why, where it cannot listen.
absl::StatusOr<TcpListener> ListenOnTcp(const std::string& host, int port);

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_TCP_LISTENER_H_
