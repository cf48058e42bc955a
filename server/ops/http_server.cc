#include "server/ops/http_server.h"

#include <CivetServer.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/ops/host_port.h"

namespace attention::ops {
namespace {

class Page : public CivetHandler {
 public:
  struct Answer {
    int code = 200;
    std::string text;
  };
  explicit Page(std::function<Answer()> answer) : answer_(std::move(answer)) {}

  bool handleGet(CivetServer* /*server*/, mg_connection* connection) override {
    const Answer answer = answer_();
    const char* const reason = answer.code == 200 ? "OK" : "Service Unavailable";
    // Prometheus's format 0.0.4 is plain text too.
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
              "Content-Length: %zu\r\nConnection: close\r\n\r\n",
              answer.code, reason, answer.text.size());
    mg_write(connection, answer.text.data(), answer.text.size());
    return true;
  }

 private:
  const std::function<Answer()> answer_;
};

}  // namespace

struct HttpServer::Impl {
  Impl(const std::vector<std::string>& options, const Handlers& handlers)
      : metrics([get = handlers.metrics] {
          return Page::Answer{200, get()};
        }),
        health([] {
          return Page::Answer{200, "ok\n"};
        }),
        readiness([ready = handlers.ready] {
          return ready() ? Page::Answer{200, "ready\n"} : Page::Answer{503, "not ready\n"};
        }),
        server(options) {
    server.addHandler("/metrics", metrics);
    server.addHandler("/healthz", health);
    server.addHandler("/readyz", readiness);
  }

  Page metrics, health, readiness;
  CivetServer server;  // last: stops before what its threads call is gone
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& host, int port,
                                                              const Handlers& handlers) {
  const std::string address = HostPort(host, port);
  const std::vector<std::string> options = {
      "listening_ports",    address, "num_threads",       "2",
      "request_timeout_ms", "5000",  "enable_keep_alive", "no"};
  try {
    return std::unique_ptr<HttpServer>(new HttpServer(std::make_unique<Impl>(options, handlers)));
  } catch (const CivetException&) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", address,
        ": the port is in use, or the address is not one of this "
        "machine; choose another --metrics_port (0 picks a free one) or --metrics_host"));
  }
}

int HttpServer::port() const { return impl_->server.getListeningPorts().front(); }

}  // namespace attention::ops
