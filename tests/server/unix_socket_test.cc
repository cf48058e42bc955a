// Calls over a Unix socket: where it is, who may connect, and what is left of it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/ops/descriptor.h"
#include "tests/server/running_server.h"
#include "tests/server/within.h"
#include "tests/temporary_folder.h"

namespace attention {
namespace {

using absl::StatusCode;
using client::AttentionClient;
using testing::HasSubstr;
using testing::StartsWith;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return address;
}

// Opens files as a user of the machine who is neither root nor owns any of the test's, where we are
// root; else as ourselves.
template <typename Function>
void AsSomebodyElse(Function function) {
  constexpr int kNobody = 65534;
  std::thread([&] {  // the system calls are for this thread alone
    syscall(SYS_setgroups, 0, nullptr);
    syscall(SYS_setfsgid, kNobody);
    syscall(SYS_setfsuid, kNobody);
    function();
  })
      .join();
}

class UnixSocket : public RunningServer {
 protected:
  // Each test starts its own.
  void SetUp() override {}

  std::string path() const { return folder_.File("attention.sock"); }
  ServerOptions Alone() const { return {.port = -1, .unix_socket = path(), .threads = 1}; }
  ServerOptions BesideTcp() const { return {.port = 0, .unix_socket = path(), .threads = 1}; }

  static AttentionClient ClientOf(const std::string& target) {
    auto client = AttentionClient::Create({.target = target,
                                           .timeout = absl::Seconds(20),
                                           .retries = {.attempts = 1},
                                           .health_checks = false});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  // How a small call ends.
  static StatusCode CallOver(const std::string& target) {
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() = client::MakeTensor({1, 1}, {1});
    return ClientOf(target).ComputeAttention(request).status().code();
  }

  std::string ErrorOf(const ServerOptions& options) const {
    const auto server = Server::Start(options);
    EXPECT_FALSE(server.ok());
    EXPECT_EQ(server.status().code(), StatusCode::kUnavailable) << server.status();
    return std::string(server.status().message());
  }

  bool SocketIsThere() const { return std::filesystem::is_socket(path()); }
  size_t FilesInFolder() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_.path()),
                                             std::filesystem::directory_iterator()));
  }

  // A socket to which nobody listens any more, as a server leaves it that is killed.
  void LeaveAStaleSocket() const {
    const ops::Descriptor dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = AddressOf(path());
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(dead.get(), 1), 0);
  }

  // 0, or the error of connecting.
  int Connect() const {
    const ops::Descriptor peer(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = AddressOf(path());
    const auto* const any = reinterpret_cast<const sockaddr*>(&address);
    return connect(peer.get(), any, sizeof(address)) == 0 ? 0 : errno;
  }

  TemporaryFolder folder_;
};

TEST_F(UnixSocket, ServesCallsAndHealthWithoutATcpPort) {
  const auto server = Server::Start(Alone());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->address(), "");
  EXPECT_EQ((*server)->unix_address(), absl::StrCat("unix:", path()));
  EXPECT_EQ(CallOver((*server)->unix_address()), StatusCode::kOk);
  EXPECT_TRUE(ClientOf((*server)->unix_address()).CheckHealth().ok());
}

TEST_F(UnixSocket, ServesBesideTcpWithTheSameBytes) {
  Start(BesideTcp());
  const AttentionClient over_socket = ClientOf(server_->unix_address());
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() =
      client::MakeTensor({3, 2}, {0.1f, 0.7f, -0.3f, 0.2f, 0.9f, -0.5f});
  const auto answer = over_socket.ComputeAttention(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->output().data(), Compute(request).output().data());
  EXPECT_TRUE(over_socket.CheckHealth().ok());
}

TEST_F(UnixSocket, CarriesLargeMessages) {
  Start(BesideTcp());
  const AttentionClient over_socket = ClientOf(server_->unix_address());
  v1::ComputeAttentionRequest request;
  constexpr int64_t kRows = 1024, kColumns = 1024;  // 4 MiB, both ways
  *request.mutable_tokens()->mutable_tokens() =
      client::MakeTensor({kRows, kColumns}, std::vector<float>(kRows * kColumns, 0.5f));
  request.add_results(v1::RESULT_OUTPUT);
  const auto answer = over_socket.ComputeAttention(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->output().data().size(), kRows * kColumns * sizeof(float));
}

TEST_F(UnixSocket, IsForTheServersUserAloneUnlessTheModeSaysOtherwise) {
  EXPECT_EQ(ServerOptions().unix_socket_mode, 0600);
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
  for (const int mode : {0600, 0660, 0666}) {
    ServerOptions options = Alone();
    options.unix_socket_mode = mode;
    const auto server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    struct stat found = {};
    ASSERT_EQ(stat(path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, static_cast<mode_t>(mode));
    EXPECT_EQ(Connect(), 0);
    if (geteuid() != 0) continue;  // nobody else to be
    AsSomebodyElse([&] { EXPECT_EQ(Connect(), mode == 0666 ? 0 : EACCES) << mode; });
  }
}

TEST_F(UnixSocket, DoesNotChangeTheRightsOfOtherFiles) {
  const mode_t before = umask(022);
  const auto server = Server::Start(Alone());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(umask(before), 022U);
}

TEST_F(UnixSocket, LeavesNothingBehind) {
  auto server = Server::Start(BesideTcp());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(SocketIsThere());
  EXPECT_TRUE((*server)->Stop().ok());
  EXPECT_EQ(FilesInFolder(), 0U);
  EXPECT_EQ(CallOver(absl::StrCat("unix:", path())), StatusCode::kUnavailable);
}

// Of gRPC alone those whose calls were on their way would hear CANCELLED (end_connections.h).
TEST_F(UnixSocket, AServerThatStopsTellsThoseWhoCallOverItToCallAgain) {
  constexpr int kCallers = 8;
  for (int round = 0; round < 5; ++round) {
    Start(BesideTcp());
    std::atomic<int> answered = 0, failed_otherwise = 0;
    std::atomic<bool> stopped = false;
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back([&, caller = ClientOf(server_->unix_address())] {
        v1::ComputeAttentionRequest request;
        *request.mutable_tokens()->mutable_tokens() = client::MakeTensor({1, 1}, {1});
        while (!stopped) {
          const StatusCode code = caller.ComputeAttention(request).status().code();
          if (code == StatusCode::kOk) ++answered;
          if (code != StatusCode::kOk && code != StatusCode::kUnavailable) ++failed_otherwise;
        }
      });
    }
    EXPECT_TRUE(Within(absl::Seconds(30), [&] { return answered > kCallers; }));
    EXPECT_TRUE(server_->Stop().ok());
    stopped = true;
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(failed_otherwise, 0);
  }
}

TEST_F(UnixSocket, ReplacesTheSocketOfAServerThatIsDead) {
  for (int i = 0; i < 2; ++i) {
    LeaveAStaleSocket();
    EXPECT_EQ(Connect(), ECONNREFUSED);
    const std::ofstream lock(absl::StrCat(path(), ".lock"));  // a killed server leaves that too
    auto server = Server::Start(Alone());
    ASSERT_TRUE(server.ok()) << server.status();
    EXPECT_EQ(CallOver((*server)->unix_address()), StatusCode::kOk);
  }
  EXPECT_EQ(FilesInFolder(), 0U);
}

TEST_F(UnixSocket, OfAServerThatLivesIsNotTaken) {
  Start(BesideTcp());
  EXPECT_THAT(ErrorOf(Alone()), HasSubstr("another server that runs listens there"));
  EXPECT_EQ(CallOver(server_->unix_address()), StatusCode::kOk) << "it is as it was";
  EXPECT_TRUE(SocketIsThere());
}

TEST_F(UnixSocket, OfAnotherProgramThatListensIsNotTaken) {
  const ops::Descriptor other(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path());
  ASSERT_EQ(bind(other.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(other.get(), 1), 0);
  EXPECT_THAT(ErrorOf(Alone()), HasSubstr("another server that runs listens there"));
  EXPECT_EQ(FilesInFolder(), 1U) << "the socket, and no lock";
}

// While a server stops it listens no more, but gRPC is yet to remove its socket.
TEST_F(UnixSocket, IsNotTakenUntilTheServerBeforeHasEnded) {
  LeaveAStaleSocket();
  const ops::Descriptor lock(
      open(absl::StrCat(path(), ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(flock(lock.get(), LOCK_EX), 0);
  EXPECT_THAT(ErrorOf(Alone()), HasSubstr("another server that runs"));
  EXPECT_TRUE(SocketIsThere());
}

TEST_F(UnixSocket, DoesNotReplaceAFileOfAnotherKind) {
  std::ofstream(path()) << "something dear";
  EXPECT_THAT(ErrorOf(Alone()), HasSubstr("is no socket"));
  EXPECT_EQ(std::filesystem::file_size(path()), 14U);
  std::filesystem::rename(path(), folder_.File("dear"));
  std::filesystem::create_symlink("dear", path());
  EXPECT_THAT(ErrorOf(Alone()), HasSubstr("is no socket"));
  EXPECT_TRUE(std::filesystem::is_symlink(path()));
}

TEST_F(UnixSocket, SaysThatItsPathIsTooLong) {
  ServerOptions options = Alone();
  options.unix_socket = folder_.File("");
  options.unix_socket.resize(107, 'x');
  EXPECT_TRUE(Server::Start(options).ok()) << "the longest";
  options.unix_socket.push_back('x');
  const absl::Status status = Server::Start(options).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("--unix_socket has 108 bytes; want 1 to 107"));
}

TEST_F(UnixSocket, SaysThatItsFolderIsNotThereOrCannotBeWrittenTo) {
  ServerOptions options = Alone();
  options.unix_socket = folder_.File("none/attention.sock");
  EXPECT_THAT(ErrorOf(options), HasSubstr("No such file or directory"));
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0555));
  AsSomebodyElse([&] {
    const std::string error = ErrorOf(Alone());
    EXPECT_THAT(error, StartsWith(absl::StrCat("cannot listen on unix:", path())));
    EXPECT_THAT(error, HasSubstr("Permission denied"));
    EXPECT_THAT(error, HasSubstr("a folder that the server may write to"));
  });
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
  EXPECT_TRUE(Server::Start(Alone()).ok()) << "and the next start works";
}

TEST_F(UnixSocket, MayHaveAnyNameThatAFileMay) {
  ServerOptions options = Alone();
  options.unix_socket = folder_.File("a b%20?#&é.sock");
  const auto server = Server::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(std::filesystem::is_socket(options.unix_socket));
  EXPECT_EQ(CallOver((*server)->unix_address()), StatusCode::kOk) << (*server)->unix_address();
}

TEST_F(UnixSocket, ATcpPortThatIsTakenIsWhatTheErrorSays) {
  Start({.port = 0, .threads = 1});
  ServerOptions options = BesideTcp();
  options.port = std::stoi(server_->address().substr(server_->address().rfind(':') + 1));
  EXPECT_THAT(ErrorOf(options), HasSubstr("another --port"));
  EXPECT_EQ(FilesInFolder(), 0U);
}

// Nobody shows a certificate over a Unix socket; the policy is asked all the same.
class UnixSocketPolicy : public UnixSocket {
 protected:
  ServerOptions WithPolicy(const std::string& rules) const {
    const std::string file = folder_.File("policy.json");
    std::ofstream(file) << absl::StrCat(R"({"name": "test", )", rules, "}");
    ServerOptions options = Alone();
    options.policy = file;
    return options;
  }
  StatusCode With(const std::string& rules) const {
    const auto server = Server::Start(WithPolicy(rules));
    EXPECT_TRUE(server.ok()) << server.status();
    return CallOver((*server)->unix_address());
  }
};

TEST_F(UnixSocketPolicy, HoldsForTheUnixSocketToo) {
  EXPECT_EQ(With(R"("allow_rules": [{"name": "a", "source": {"principals": ["spiffe://x/*"]}}])"),
            StatusCode::kPermissionDenied)
      << "who calls shows no certificate";
  EXPECT_EQ(With(R"("allow_rules": [{"name": "a", "request": {"paths": ["/attention.v1.*"]}}])"),
            StatusCode::kOk)
      << "whoever it is";
}

TEST_F(UnixSocketPolicy, KnowsThoseWhoCallOverItByOneName) {
  EXPECT_EQ(With(R"("allow_rules": [{"name": "a", "source": {"principals": ["unix-socket"]}}])"),
            StatusCode::kOk);
  EXPECT_EQ(With(R"("deny_rules": [{"name": "d", "source": {"principals": ["unix-socket"]}}],
                    "allow_rules": [{"name": "a"}])"),
            StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace attention
