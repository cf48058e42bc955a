#ifndef ATTENTION_SERVER_OPS_HTTP_SERVER_H_
#define ATTENTION_SERVER_OPS_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attention::ops {

// Plain HTTP for those who watch a server:
//
//   /metrics   what `metrics` says, in Prometheus's text format
//   /healthz   200 as long as the process runs
//   /readyz    200 while `ready`, else 503
//
// Their threads compute nothing and wait for nobody. Stops when destroyed.
class HttpServer {
 public:
  struct Handlers {
    std::function<std::string()> metrics;
    std::function<bool()> ready;
  };

  // `port` 0 picks a free one. UNAVAILABLE where it cannot listen there.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& host, int port,
                                                           const Handlers& handlers);
  ~HttpServer();

  int port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_HTTP_SERVER_H_
