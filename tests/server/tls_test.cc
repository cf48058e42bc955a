// Who may connect, and who may call what, once --tls_cert, --tls_client_ca and --policy say so.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "client/channel.h"
#include "client/load/load_test.h"
#include "tests/server/certificates.h"
#include "tests/server/stored_layers.h"
#include "tests/server/within.h"
#include "tests/temporary_folder.h"

namespace attention {
namespace {

using absl::StatusCode;
using client::AttentionClient;
using testing::HasSubstr;

constexpr char kLoopback[] = "DNS:localhost,IP:127.0.0.1";
constexpr char kApp[] = "URI:spiffe://example.org/app";
constexpr char kOperator[] = "URI:spiffe://example.org/operator";

// Who computes may do so; an operator may do all.
constexpr char kPolicy[] = R"({
  "name": "test",
  "allow_rules": [
    {"name": "computing", "request": {"paths": ["/attention.v1.AttentionService/*"]}},
    {"name": "all", "source": {"principals": ["spiffe://example.org/operator"]}}
  ]
})";

class Tls : public ServerWithLayers {
 protected:
  // Each test starts its own.
  void SetUp() override {}

  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = folder_.File(name);
    std::ofstream(path + ".new", std::ios::binary) << text;
    std::filesystem::rename(path + ".new", path);
    return path;
  }

  // Puts an identity that `authority` vouches for where the server looks for its own.
  void WriteServer(const Authority& authority) const {
    const Identity own = authority.Issue(kLoopback);
    Write("server.key", own.key);
    Write("server.pem", own.certificate);
  }

  ServerOptions WithTls() const {
    WriteServer(servers_);
    return {.port = 0,
            .tls_cert = folder_.File("server.pem"),
            .tls_key = folder_.File("server.key"),
            .threads = 1};
  }
  ServerOptions WithMutualTls() const {
    ServerOptions options = WithTls();
    options.tls_client_ca = Write("client_ca.pem", clients_.Root());
    return options;
  }

  // A client that trusts `server` and shows `own`, if it has one.
  AttentionClient Client(const Authority& server, const Identity& own = {}) const {
    client::TlsFiles files = {.ca = Write("ca.pem", server.Root())};
    if (!own.key.empty()) {
      files.certificate = Write("own.pem", own.certificate);
      files.key = Write("own.key", own.key);
    }
    auto client = AttentionClient::Create(
        {.target = server_->address(), .timeout = absl::Seconds(10), .tls = files});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  // How a small call ends.
  static StatusCode Compute(const AttentionClient& client) {
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() = client::MakeTensor({1, 1}, {1});
    return client.ComputeAttention(request).status().code();
  }

  TemporaryFolder folder_;
  const Authority servers_, clients_;
};

TEST_F(Tls, ServesThoseWhoTrustItsCertificate) {
  Start(WithTls());
  EXPECT_EQ(Compute(Client(servers_)), StatusCode::kOk);
  EXPECT_EQ(Compute(Client(clients_)), StatusCode::kUnavailable) << "trusts others";
  EXPECT_EQ(Compute(*client_), StatusCode::kUnavailable) << "plain text";
  EXPECT_EQ(Compute(Client(servers_)), StatusCode::kOk) << "and the next call works";
}

TEST_F(Tls, MutualTlsServesThoseWhoShowACertificateOfTheRightAuthority) {
  Start(WithMutualTls());
  EXPECT_EQ(Compute(Client(servers_, clients_.Issue(kApp))), StatusCode::kOk);
  EXPECT_EQ(Compute(Client(servers_)), StatusCode::kUnavailable) << "shows none";
  EXPECT_EQ(Compute(Client(servers_, servers_.Issue(kApp))), StatusCode::kUnavailable) << "another";
}

TEST_F(Tls, ANewCertificateIsTakenUpWhileTheServerRuns) {
  Start(WithTls());
  const AttentionClient connected = Client(servers_);
  EXPECT_EQ(Compute(connected), StatusCode::kOk);
  const Authority next;
  WriteServer(next);
  EXPECT_TRUE(Within(absl::Seconds(10), [&] { return Compute(Client(next)) == StatusCode::kOk; }));
  EXPECT_EQ(Compute(connected), StatusCode::kOk) << "connections that there are stay";
}

TEST_F(Tls, FilesThatCannotBeUsedStopTheServerFromStarting) {
  ServerOptions options = WithTls();
  options.tls_cert = folder_.File("none.pem");
  EXPECT_THAT(std::string(Server::Start(options).status().message()), HasSubstr("none.pem"));
  options.tls_cert = Write("text.pem", "no certificate");
  EXPECT_THAT(std::string(Server::Start(options).status().message()), HasSubstr("text.pem"));
  options = WithTls();
  options.tls_key = Write("other.key", servers_.Issue(kLoopback).key);
  EXPECT_THAT(std::string(Server::Start(options).status().message()), HasSubstr("other.key"));
}

TEST_F(Tls, ThePolicySaysWhoMayChangeLayers) {
  ServerOptions options = WithMutualTls();
  options.policy = Write("policy.json", kPolicy);
  Start(options);
  const AttentionClient app = Client(servers_, clients_.Issue(kApp));
  const AttentionClient oper = Client(servers_, clients_.Issue(kOperator));
  EXPECT_EQ(Compute(app), StatusCode::kOk);
  EXPECT_EQ(app.CreateLayer(SmallAttention("a", 1)).status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(UploadBytes(app, "a", kTimesConfig, TimesFile(2)).status().code(),
            StatusCode::kPermissionDenied);
  EXPECT_EQ(app.ListLayers().status().code(), StatusCode::kPermissionDenied);
  EXPECT_TRUE(oper.CreateLayer(SmallAttention("a", 1)).ok());
  EXPECT_EQ(Compute(oper), StatusCode::kOk);
}

// How the stream of questions to reflection ends, by the path of one of its names.
StatusCode Reflect(const std::string& target, const client::TlsFiles& tls,
                   const std::string& version) {
  const auto credentials = client::ReadCredentials(tls);
  EXPECT_TRUE(credentials.ok()) << credentials.status();
  const auto channel = client::CreateChannel({.target = target}, *credentials);
  grpc::GenericStub stub(*channel);
  grpc::ClientContext context;
  const grpc::Slice no_bytes;
  grpc::ByteBuffer question(&no_bytes, 1), answer;
  absl::Notification done;
  grpc::Status status;
  stub.UnaryCall(
      &context,
      absl::StrCat("/grpc.reflection.", version, ".ServerReflection/ServerReflectionInfo"), {},
      &question, &answer, [&](const grpc::Status& end) {
        status = end;
        done.Notify();
      });
  done.WaitForNotification();
  return static_cast<StatusCode>(status.error_code());
}

// A policy that was written when there was v1alpha alone must not leave v1 open, or closed.
TEST_F(Tls, APolicyHoldsForReflectionByBothOfItsNames) {
  ServerOptions options = WithMutualTls();
  const Identity own = clients_.Issue(kApp);
  const client::TlsFiles files = {.ca = Write("ca.pem", servers_.Root()),
                                  .certificate = Write("own.pem", own.certificate),
                                  .key = Write("own.key", own.key)};
  constexpr char kRule[] = R"([{"name": "it", "request": {"paths":
      ["/grpc.reflection.$0.ServerReflection/*"]}}])";
  for (const char* const named : {"v1", "v1alpha"}) {
    const std::string rule = absl::Substitute(kRule, named);
    for (const bool allows : {true, false}) {
      options.policy = Write("policy.json",
                             allows ? absl::Substitute(R"({"name": "x", "allow_rules": $0})", rule)
                                    : absl::Substitute(R"({"name": "x", "deny_rules": $0,
                                        "allow_rules": [{"name": "all"}]})",
                                                       rule));
      Start(options);
      for (const char* const version : {"v1", "v1alpha"}) {
        EXPECT_EQ(Reflect(server_->address(), files, version) == StatusCode::kPermissionDenied,
                  !allows)
            << named << " " << version;
      }
    }
  }
}

// How often a file is opened.
class OpenCount {
 public:
  explicit OpenCount(const std::string& file) : events_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    EXPECT_GE(inotify_add_watch(events_, file.c_str(), IN_OPEN), 0);
  }
  ~OpenCount() { close(events_); }
  OpenCount(const OpenCount&) = delete;
  OpenCount& operator=(const OpenCount&) = delete;

  // Since it was last asked.
  int64_t Take() const {
    inotify_event events[64];
    const ssize_t bytes = read(events_, events, sizeof(events));
    return bytes < 0 ? 0 : bytes / static_cast<ssize_t>(sizeof(inotify_event));
  }

 private:
  const int events_;
};

TEST_F(Tls, AClientIsOfOneIdentityHoweverItsFilesAreReplaced) {
  ServerOptions options = WithMutualTls();
  options.policy = Write("policy.json", R"({"name": "x", "allow_rules": [
      {"name": "app", "source": {"principals": ["spiffe://example.org/app"]}}]})");
  Start(options);
  const auto write_own = [&](const Identity& own) {
    Write("own.pem", own.certificate);
    Write("own.key", own.key);
  };
  write_own(clients_.Issue(kApp));
  const client::ClientOptions of = {.target = server_->address(),
                                    .retries = {.attempts = 1},
                                    .connections = 4,
                                    .health_checks = false,  // which the policy would refuse
                                    .tls = client::TlsFiles{.ca = Write("ca.pem", servers_.Root()),
                                                            .certificate = folder_.File("own.pem"),
                                                            .key = folder_.File("own.key")}};
  const OpenCount opened(folder_.File("own.key"));
  const auto client = AttentionClient::Create(of);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(opened.Take(), 1) << "for all of its connections";

  write_own(clients_.Issue(kOperator));
  v1::ComputeAttentionRequest large;  // each goes over a connection of its own
  *large.mutable_tokens()->mutable_tokens() =
      client::MakeTensor({1, 1 << 18}, std::vector<float>(1 << 18, 0.5f));
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] { EXPECT_TRUE(client->ComputeAttention(large).ok()); });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(Compute(*AttentionClient::Create(of)), StatusCode::kPermissionDenied)
      << "a new client is of the new identity";
}

TEST_F(Tls, ALoadTestIsOfOneIdentityToo) {
  Start(WithMutualTls());
  const Identity own = clients_.Issue(kApp);
  Write("own.pem", own.certificate);
  Write("own.key", own.key);
  const OpenCount opened(folder_.File("own.key"));
  client::LoadOptions options;
  options.targets = {server_->address(), server_->address()};
  options.connections = 2;
  options.tls = client::TlsFiles{.ca = Write("ca.pem", servers_.Root()),
                                 .certificate = folder_.File("own.pem"),
                                 .key = folder_.File("own.key")};
  options.warm_up = absl::ZeroDuration();
  options.duration = absl::Milliseconds(100);
  const auto run = client::RunLoadTest(options);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_GT(run->result.answered(), 0);
  EXPECT_EQ(opened.Take(), 1);
}

TEST_F(Tls, AUnixSocketBesideItHasNoneAndObeysThePolicy) {
  ServerOptions options = WithMutualTls();
  options.unix_socket = folder_.File("attention.sock");
  options.policy = Write("policy.json", kPolicy);
  Start(options);
  const auto local = AttentionClient::Create({.target = server_->unix_address()});
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(Compute(*local), StatusCode::kOk);
  EXPECT_EQ(local->ListLayers().status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(Compute(*client_), StatusCode::kUnavailable) << "plain text over TCP";
}

TEST_F(Tls, APolicyIsReadAgainAndABadOneChangesNothing) {
  ServerOptions options = WithMutualTls();
  options.policy = Write("policy.json", kPolicy);
  Start(options);
  const AttentionClient app = Client(servers_, clients_.Issue(kApp));
  Write("policy.json", "{");
  EXPECT_THAT(std::string(server_->Reload().message()), HasSubstr("policy.json"));
  EXPECT_EQ(Compute(app), StatusCode::kOk);
  Write("policy.json", R"({"name": "closed", "allow_rules": []})");
  EXPECT_TRUE(server_->Reload().ok());
  EXPECT_EQ(Compute(app), StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace attention
