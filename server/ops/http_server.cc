#include "server/ops/http_server.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/ops/descriptor.h"
#include "server/ops/host_port.h"
#include "server/ops/log.h"
#include "server/ops/tcp_listener.h"

namespace attention::ops {
namespace {

using Clock = std::chrono::steady_clock;
constexpr Clock::time_point kNever = Clock::time_point::max();

// What a page says.
struct Page {
  unsigned code = MHD_HTTP_OK;
  std::string text;
};

// Prometheus's format 0.0.4 is plain text too.
constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// A connection that is open.
struct Connection {
  int socket = -1;
  Clock::time_point end;  // when it is to be closed at the latest; kNever: it was
  size_t body_bytes = 0;  // of the request's body, so far; for libmicrohttpd's thread alone
};

MHD_Result Send(const Page& page, MHD_Connection* connection) {
  MHD_Response* const response = MHD_create_response_from_buffer(
      page.text.size(), const_cast<char*>(page.text.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, kContentType);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  if (page.code == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  const MHD_Result sent = MHD_queue_response(connection, page.code, response);
  MHD_destroy_response(response);
  return sent;
}

}  // namespace

// libmicrohttpd's threads, one for each listening socket, accept, parse and send. It gives up who
// is silent, but not who sends a byte now and then for ever: that is done by a thread of ours. The
// lock guards which connections are open; their sockets are shut down under it, so that none of
// them is closed and its number another's by then. libmicrohttpd may hold locks of its own when it
// calls us; none of ours or of its is taken under this one.
class HttpServer::Impl {
 public:
  Impl(const Handlers& handlers, const Limits& limits)
      : handlers_(handlers), limits_(limits), reaper_([this] { EndLateConnections(); }) {}

  ~Impl() {
    daemons_.clear();  // ends their connections and waits for their threads
    {
      const absl::MutexLock lock(&mutex_);
      stops_ = true;
      changed_.Signal();
    }
    reaper_.join();
  }

  absl::Status Serve(TcpListener listener) {
    port_ = listener.port;
    for (Descriptor& socket : listener.sockets) {
      MHD_Daemon* const daemon = StartDaemon(socket.release());  // which closes it
      if (daemon == nullptr) return absl::UnavailableError("cannot start a thread for HTTP");
      daemons_.emplace_back(daemon);
    }
    return absl::OkStatus();
  }

  int port() const { return port_; }

 private:
  struct StopDaemon {
    void operator()(MHD_Daemon* daemon) const { MHD_stop_daemon(daemon); }
  };

  // By poll, not by epoll: with that, libmicrohttpd 0.9.75 does not see that a client is gone whose
  // last bytes came together with its end.
  MHD_Daemon* StartDaemon(int socket) {
    return MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, /*port=*/0, nullptr, nullptr, &Impl::OnRequest,
        this, MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT, limits_.connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, limits_.connections_of_one_address,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits_.header_bytes, MHD_OPTION_NOTIFY_CONNECTION,
        &Impl::OnConnection, this, MHD_OPTION_END);
  }

  // Until stops_: closes each connection when its time is over.
  void EndLateConnections() {
    const absl::MutexLock lock(&mutex_);
    while (!stops_) {
      const auto now = Clock::now();
      auto next = kNever;
      for (Connection& connection : connections_) {
        if (connection.end <= now) {
          shutdown(connection.socket, SHUT_RDWR);  // libmicrohttpd sees it, and cleans up
          connection.end = kNever;
        }
        next = std::min(next, connection.end);
      }
      if (next == kNever) {
        changed_.Wait(&mutex_);
      } else {
        changed_.WaitWithTimeout(&mutex_, absl::FromChrono(next - now));
      }
    }
  }

  // A connection has been opened, and `*context` becomes what we know of it, or is about to be
  // closed.
  static void OnConnection(void* self, MHD_Connection* connection, void** context,
                           MHD_ConnectionNotificationCode code) {
    auto& impl = *static_cast<Impl*>(self);
    const absl::MutexLock lock(&impl.mutex_);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
      const int socket =
          MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
      const auto time = absl::ToChronoMilliseconds(impl.limits_.connection_time);
      impl.connections_.push_back({.socket = socket, .end = Clock::now() + time});
      *context = &impl.connections_.back();
      impl.changed_.Signal();
    } else {
      impl.connections_.remove_if([&](const Connection& one) { return &one == *context; });
    }
  }

  // Called when the headers are there, then for each part of a body, then when the request is
  // complete. MHD_NO closes the connection.
  static MHD_Result OnRequest(void* self, MHD_Connection* connection, const char* path,
                              const char* method, const char* /*version*/,
                              const char* /*body_part*/, size_t* part_bytes, void** has_headers) {
    const auto& impl = *static_cast<const Impl*>(self);
    if (*has_headers == nullptr) {
      *has_headers = self;
      return MHD_YES;
    }
    if (*part_bytes == 0) return Send(impl.Answer(method, path), connection);
    auto& known = *static_cast<Connection*>(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);
    known.body_bytes += std::exchange(*part_bytes, 0);
    return known.body_bytes <= impl.limits_.body_bytes ? MHD_YES : MHD_NO;
  }

  Page Answer(absl::string_view method, absl::string_view path) const {
    if (method != "GET" && method != "HEAD") {
      return {MHD_HTTP_METHOD_NOT_ALLOWED, "there are GET and HEAD\n"};
    }
    if (path == "/metrics") return {.text = handlers_.metrics()};
    if (path == "/healthz") return {.text = "ok\n"};
    if (path != "/readyz") {
      return {MHD_HTTP_NOT_FOUND, "there are /metrics, /healthz and /readyz\n"};
    }
    if (handlers_.ready()) return {.text = "ready\n"};
    return {MHD_HTTP_SERVICE_UNAVAILABLE, "not ready\n"};
  }

  const Handlers handlers_;
  const Limits limits_;
  int port_ = 0;
  absl::Mutex mutex_;
  absl::CondVar changed_;  // a connection has been opened, or the thread below is to stop
  std::list<Connection> connections_ ABSL_GUARDED_BY(mutex_);  // all that are open
  bool stops_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<MHD_Daemon, StopDaemon>> daemons_;
  std::thread reaper_;  // runs EndLateConnections
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& host, int port,
                                                              const Handlers& handlers,
                                                              const Limits& limits) {
  absl::StatusOr<TcpListener> listener = ListenOnTcp(host, port);
  if (!listener.ok()) return listener.status();
  if (listener->lacks_ipv6) {
    Log(Severity::kInfo, "no_ipv6",
        {{"listens_on", HostPort("0.0.0.0", listener->port)},
         {"why", "this machine has no IPv6; metrics and health are served over IPv4 alone"}});
  }
  auto impl = std::make_unique<Impl>(handlers, limits);
  if (absl::Status status = impl->Serve(*std::move(listener)); !status.ok()) return status;
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::port() const { return impl_->port(); }

}  // namespace attention::ops
