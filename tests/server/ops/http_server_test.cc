// Metrics and health over HTTP: where they are served, and what hostile clients get.
#include "server/ops/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "server/ops/log.h"
#include "tests/server/http_peer.h"
#include "tests/server/within.h"

namespace attention::ops {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kV4[] = "127.0.0.1";
constexpr char kV6[] = "::1";

HttpServer::Handlers Handlers() {
  return {.metrics = [] { return std::string("a_metric 1\n"); }, .ready = [] { return true; }};
}

std::unique_ptr<HttpServer> Start(const std::string& host, const HttpServer::Limits& limits = {},
                                  const HttpServer::Handlers& handlers = Handlers()) {
  auto server = HttpServer::Start(host, 0, handlers, limits);
  EXPECT_TRUE(server.ok()) << server.status();
  return server.ok() ? *std::move(server) : nullptr;
}

bool Serves(const HttpServer& server, const std::string& address) {
  const HttpPeer peer(address, server.port());
  return peer.is_connected() && absl::StartsWith(peer.Ask("GET", "/healthz"), "HTTP/1.1 200 ");
}

ptrdiff_t Threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

// The calling thread, and those that it starts, live on a machine whose kernel has no IPv6: there
// are no sockets of it.
void ForgetIpv6() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),  // its low half
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {.len = std::size(filter), .filter = filter};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(HttpServer, ListensOnIpv6AloneWhereThatIsAskedFor) {
  for (const std::string host : {"[::1]", "::1"}) {
    const auto server = Start(host);
    ASSERT_NE(server, nullptr);
    EXPECT_TRUE(Serves(*server, kV6)) << host;
    EXPECT_FALSE(HttpPeer(kV4, server->port()).is_connected()) << host;
  }
}

TEST(HttpServer, ListensOnIpv4AloneWhereThatIsAskedFor) {
  const auto server = Start(kV4);
  ASSERT_NE(server, nullptr);
  EXPECT_TRUE(Serves(*server, kV4));
  EXPECT_FALSE(HttpPeer(kV6, server->port()).is_connected());
  EXPECT_FALSE(HttpPeer("127.0.0.2", server->port()).is_connected()) << "another of its addresses";
}

TEST(HttpServer, ListensOnBothWhereAllAddressesAreAskedFor) {
  for (const std::string host : {"0.0.0.0", "[::]", "::"}) {
    const auto server = Start(host);
    ASSERT_NE(server, nullptr);
    EXPECT_TRUE(Serves(*server, kV4)) << host;
    EXPECT_TRUE(Serves(*server, kV6)) << host;
  }
}

TEST(HttpServer, ListensAtAllAddressesOfAName) {
  const auto server = Start("localhost");
  ASSERT_NE(server, nullptr);
  EXPECT_TRUE(Serves(*server, kV4)) << "whatever else localhost is here";
}

TEST(HttpServer, ListensOnIpv4AndSaysSoWhereTheMachineHasNoIpv6) {
  std::thread([] {
    ForgetIpv6();
    for (const std::string host : {"0.0.0.0", "[::]", "localhost"}) {
      testing::internal::CaptureStderr();
      const auto server = Start(host);
      FlushLog();
      const std::string log = testing::internal::GetCapturedStderr();
      ASSERT_NE(server, nullptr);
      EXPECT_TRUE(Serves(*server, kV4)) << host;
      if (host == "localhost") continue;  // which names no IPv6
      EXPECT_THAT(log, HasSubstr(R"("event":"no_ipv6")")) << host;
      EXPECT_THAT(log, HasSubstr(absl::StrCat("0.0.0.0:", server->port())));
    }
    const absl::Status status = HttpServer::Start("[::1]", 0, Handlers(), {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), HasSubstr("cannot listen on [::1]:0"));
  }).join();
}

TEST(HttpServer, SaysWhyItCannotListen) {
  const auto server = Start(kV4);
  ASSERT_NE(server, nullptr);
  const auto refused = [](const std::string& host, int port) {
    const absl::Status status = HttpServer::Start(host, port, Handlers(), {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << host;
    return std::string(status.message());
  };
  EXPECT_THAT(refused(kV4, server->port()), HasSubstr("in use"));
  EXPECT_THAT(refused("0.0.0.0", server->port()), HasSubstr("in use")) << "by IPv4";
  EXPECT_THAT(refused("192.0.2.1", 0), HasSubstr("192.0.2.1:0")) << "an address of nobody";
  EXPECT_THAT(refused("no such name", 0), HasSubstr("no such name:0: "));
}

TEST(HttpServer, AnswersHeadLikeGetWithoutTheText) {
  const auto server = Start(kV4);
  const std::string head = HttpPeer(kV4, server->port()).Ask("HEAD", "/metrics");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(head, HasSubstr("Content-Length: 11\r\n"));
  EXPECT_THAT(head, HasSubstr("text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
  const std::string get = HttpPeer(kV4, server->port()).Ask("GET", "/metrics?of=all");
  EXPECT_THAT(get, HasSubstr("Content-Length: 11\r\n"));
  EXPECT_THAT(get, EndsWith("\r\n\r\na_metric 1\n"));
}

TEST(HttpServer, RefusesOtherPathsAndMethods) {
  const auto server = Start(kV4);
  for (const std::string path : {"/", "/metrics/", "/healthz/x", "/etc/passwd", "/../metrics"}) {
    EXPECT_THAT(HttpPeer(kV4, server->port()).Ask("GET", path), StartsWith("HTTP/1.1 404 "))
        << path;
  }
  for (const std::string method : {"POST", "DELETE", "OPTIONS", "BREW"}) {
    const std::string answer = HttpPeer(kV4, server->port()).Ask(method, "/metrics");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 ")) << method;
    EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD\r\n"));
  }
}

TEST(HttpServer, TakesABodyForNothingAndALargeOneNotAtAll) {
  const auto server = Start(kV4);
  const auto post = [&](size_t bytes) {
    const HttpPeer peer(kV4, server->port());
    peer.Send(absl::StrCat("POST /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: ", bytes,
                           "\r\n\r\n"));
    peer.Send(std::string(bytes, 'x'));
    return peer.Read();
  };
  EXPECT_THAT(post(1000), StartsWith("HTTP/1.1 405 "));
  EXPECT_EQ(post(size_t{1} << 20), "");
  EXPECT_TRUE(Serves(*server, kV4));
}

TEST(HttpServer, RefusesHeadersThatAreTooLong) {
  const auto server = Start(kV4);
  const std::string much(size_t{20} << 10, 'x');
  EXPECT_THAT(HttpPeer(kV4, server->port()).Ask("GET", "/" + much), StartsWith("HTTP/1.1 414 "));
  const HttpPeer peer(kV4, server->port());
  peer.Send(absl::StrCat("GET /metrics HTTP/1.1\r\nHost: test\r\nX: ", much));
  EXPECT_THAT(peer.Read(), StartsWith("HTTP/1.1 431 "));
  EXPECT_TRUE(Serves(*server, kV4));
}

TEST(HttpServer, ClosesConnectionsThatSendGarbage) {
  const auto server = Start(kV4);
  for (const std::string& garbage :
       {std::string("\0\1\2\r\n\r\n", 7), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        std::string("GET\r\n\r\n"), std::string("\x16\x03\x01\x02 a handshake of TLS\r\n\r\n")}) {
    const HttpPeer peer(kV4, server->port());
    peer.Send(garbage);
    shutdown(peer.socket(), SHUT_WR);
    EXPECT_THAT(peer.Read(), Not(HasSubstr(" 200 "))) << garbage;
  }
  EXPECT_TRUE(Serves(*server, kV4));
}

TEST(HttpServer, SlowClientsHoldNobodyUp) {
  const auto server = Start(kV4);
  std::vector<HttpPeer> slow;
  for (int i = 0; i < 20; ++i) {
    slow.emplace_back(kV4, server->port());
    EXPECT_TRUE(slow.back().Send("GET /metr"));
  }
  EXPECT_TRUE(Serves(*server, kV4));
  for (const HttpPeer& peer : slow) EXPECT_FALSE(peer.HasHeard()) << "they have time yet";
  EXPECT_TRUE(slow.front().Send("ics HTTP/1.1\r\nHost: test\r\n\r\n"));
  EXPECT_THAT(slow.front().Read(), EndsWith("a_metric 1\n"));
}

TEST(HttpServer, AClientThatSendsNowAndThenIsGivenUpAllTheSame) {
  const auto server = Start(kV4, {.connection_time = absl::Milliseconds(300)});
  const HttpPeer slow(kV4, server->port());
  EXPECT_TRUE(slow.Send("GET /metrics HTTP/1.1\r\nX: "));
  EXPECT_TRUE(Within(absl::Seconds(30), [&] { return !slow.Send("x"); }));
}

TEST(HttpServer, AClientThatDoesNotReadIsGivenUp) {
  // More than the buffers of both sockets take.
  const auto server = Start(
      kV4, {.connections = 1, .connection_time = absl::Milliseconds(300)},
      {.metrics = [] { return std::string(size_t{16} << 20, '#'); }, .ready = [] { return true; }});
  const HttpPeer slow(kV4, server->port());
  EXPECT_TRUE(slow.Send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"));
  EXPECT_TRUE(Serves(*server, kV4)) << "once the only place is free";
  EXPECT_LT(slow.Read().size(), size_t{16} << 20);
}

TEST(HttpServer, MoreConnectionsThanThereArePlacesWaitUntilOneEnds) {
  const auto server = Start(kV4, {.connections = 2});
  std::vector<HttpPeer> open;
  for (int i = 0; i < 2; ++i) {
    open.emplace_back(kV4, server->port());
    EXPECT_TRUE(open.back().Send("GET /he"));
  }
  const HttpPeer waits(kV4, server->port());
  EXPECT_TRUE(waits.Send("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"));
  EXPECT_FALSE(open.front().HasHeard());
  open.pop_back();
  EXPECT_THAT(waits.Read(), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, OneAddressCannotTakeThePlacesOfOthers) {
  const auto server = Start("0.0.0.0", {.connections = 4, .connections_of_one_address = 2});
  std::vector<HttpPeer> greedy;
  for (int i = 0; i < 2; ++i) greedy.emplace_back(kV4, server->port());
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(HttpPeer(kV4, server->port()).Read(), "") << "closed at once";
  }
  EXPECT_TRUE(Serves(*server, kV6)) << "another address";
  greedy.clear();
  EXPECT_TRUE(Within(absl::Seconds(30), [&] {
    const HttpPeer peer(kV4, server->port());
    return peer.Send("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n") && !peer.Read().empty();
  }));
}

TEST(HttpServer, HasTwoThreadsHoweverManyClientsThereAre) {
  const ptrdiff_t before = Threads();
  const auto server = Start(kV4);
  std::vector<HttpPeer> peers;
  for (int i = 0; i < 30; ++i) peers.emplace_back(kV4, server->port());
  EXPECT_TRUE(Serves(*server, kV4));
  EXPECT_EQ(Threads(), before + 2);
}

TEST(HttpServer, StopsWhileClientsHoldConnectionsOpen) {
  auto server = Start("0.0.0.0");
  const HttpPeer idle(kV4, server->port()), halfway(kV6, server->port());
  EXPECT_TRUE(halfway.Send("GET /metr"));
  EXPECT_TRUE(Serves(*server, kV4)) << "by now both are accepted";
  const int port = server->port();
  server.reset();
  EXPECT_EQ(idle.Read(), "");
  EXPECT_EQ(halfway.Read(), "");
  EXPECT_FALSE(HttpPeer(kV4, port).is_connected());
  EXPECT_TRUE(HttpServer::Start("0.0.0.0", port, Handlers(), {}).ok()) << "the port is free again";
}

}  // namespace
}  // namespace attention::ops
