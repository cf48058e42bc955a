#ifndef ATTENTION_SERVER_END_CONNECTIONS_H_
#define ATTENTION_SERVER_END_CONNECTIONS_H_

#include <string>

namespace attention {

// Refuses further connections to the TCP port (-1: none) and to the Unix socket (empty: none) at
// which this process listens, and ends those that there are from our side: what was written still
// arrives, and then the peer finds that the connection is over. A call that is on its way here
// fails with UNAVAILABLE there, which says that it may be made again.
//
// gRPC's own shutdown would tell such a call CANCELLED: it sends GOAWAY, and from that moment on
// refuses what the peer sent before it knew (seen with gRPC 1.51.1). So this comes first.
void EndConnections(int port, const std::string& unix_socket);

}  // namespace attention

#endif  // ATTENTION_SERVER_END_CONNECTIONS_H_
