#ifndef ATTENTION_SERVER_OPS_HTTP_SERVER_H_
#define ATTENTION_SERVER_OPS_HTTP_SERVER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace attention::ops {

// Plain HTTP/1.1 over IPv4 and IPv6 for those who watch a server:
//
//   /metrics   what `metrics` says, in Prometheus's text format
//   /healthz   200 as long as the process runs
//   /readyz    200 while `ready`, else 503
//
// by GET or HEAD; other paths are 404, other methods 405. A connection is closed after one answer.
// One thread for each listening socket serves all of its connections, and one more ends those that
// take too long; they compute nothing and wait for nobody. Stops when destroyed, which ends what
// connections there are. README.md beside this file says which library does it, and why.
class HttpServer {
 public:
  // Called by these threads; must not throw.
  struct Handlers {
    std::function<std::string()> metrics;
    std::function<bool()> ready;
  };

  // What clients may take.
  struct Limits {
    // Open at a time, at each address that is listened on; the next ones wait until one ends.
    unsigned connections = 64;
    // Of these, from one IP address; the next ones are closed at once.
    unsigned connections_of_one_address = 32;
    // What a connection may take for a request's first line and headers (414 and 431 beyond it).
    size_t header_bytes = size_t{16} << 10;
    // A body means nothing here, but may come; with more the connection is closed.
    size_t body_bytes = size_t{64} << 10;
    // From connecting to the last byte of the answer, however busy a client seems.
    absl::Duration connection_time = absl::Seconds(10);
  };

  // `port` 0 picks a free one. Fails as ListenOnTcp.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& host, int port,
                                                           const Handlers& handlers,
                                                           const Limits& limits);
  ~HttpServer();

  int port() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_HTTP_SERVER_H_
