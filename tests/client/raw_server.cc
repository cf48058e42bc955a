#include "tests/client/raw_server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

enum FrameType : uint8_t { kData = 0, kHeaders = 1, kResetStream = 3, kSettings = 4, kPing = 6 };
enum FrameFlag : uint8_t { kAck = 1, kEndStream = 1, kEndHeaders = 4 };

std::string BigEndian(uint32_t number, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(number >> (8 * i));
  return text;
}

uint32_t FromBigEndian(absl::string_view text) {
  uint32_t number = 0;
  for (const char c : text) number = number << 8 | static_cast<uint8_t>(c);
  return number;
}

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload = "") {
  return absl::StrCat(BigEndian(static_cast<uint32_t>(payload.size()), 3), BigEndian(type, 1),
                      BigEndian(flags, 1), BigEndian(stream, 4), payload);
}

// HPACK (RFC 7541): literals that no table keeps, of less than 127 bytes each.
std::string Packed(const frames::Fields& fields) {
  std::string packed;
  for (const auto& [name, value] : fields) {
    packed += BigEndian(0, 1);
    for (const std::string& part : {name, value}) {
      absl::StrAppend(&packed, BigEndian(static_cast<uint32_t>(part.size()), 1), part);
    }
  }
  return packed;
}

std::string Beginning() {  // ":status: 200" is number 8 of the static table
  return absl::StrCat("\x88", Packed({{"content-type", "application/grpc"}}));
}

// So many bytes; fewer where the connection has ended.
std::string Receive(int socket, size_t bytes) {
  std::string text(bytes, '\0');
  const ssize_t got = bytes == 0 ? 0 : recv(socket, text.data(), bytes, MSG_WAITALL);
  text.resize(std::max<ssize_t>(got, 0));
  return text;
}

// To a client that may have left.
void Send(int socket, const std::string& bytes) {
  [[maybe_unused]] const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

}  // namespace

namespace frames {

std::string Headers(uint32_t stream) { return Frame(kHeaders, kEndHeaders, stream, Beginning()); }

std::string HeadersThatEnd(uint32_t stream, const Fields& fields) {
  return Frame(kHeaders, kEndHeaders | kEndStream, stream, Beginning() + Packed(fields));
}

std::string Trailers(uint32_t stream, const Fields& fields) {
  return Frame(kHeaders, kEndHeaders | kEndStream, stream, Packed(fields));
}

std::string Message(uint32_t stream, const google::protobuf::MessageLite& message, size_t bytes) {
  const std::string text = message.SerializeAsString();
  const std::string whole =
      absl::StrCat(BigEndian(0, 1), BigEndian(static_cast<uint32_t>(text.size()), 4), text);
  return Frame(kData, 0, stream, whole.substr(0, bytes));
}

std::string EndOfData(uint32_t stream) { return Frame(kData, kEndStream, stream); }

std::string Reset(uint32_t stream, uint32_t code) {
  return Frame(kResetStream, 0, stream, BigEndian(code, 4));
}

}  // namespace frames

RawServer::RawServer(Answerer answerer)
    : answerer_(std::move(answerer)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};  // port 0: a free one
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const any_address = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(listener_, any_address, length), 0);
  EXPECT_EQ(listen(listener_, 64), 0);
  EXPECT_EQ(getsockname(listener_, any_address, &length), 0);
  target_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  accepting_ = std::thread([this] { Accept(); });
}

RawServer::~RawServer() {
  {
    const absl::MutexLock lock(&mutex_);
    ended_ = true;
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

void RawServer::Accept() {
  for (int connection = 0;; ++connection) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const absl::MutexLock lock(&mutex_);
    if (ended_) {
      close(socket);
      return;
    }
    sockets_.insert(socket);
    threads_.emplace_back([this, socket, connection] { Serve(socket, connection); });
  }
}

void RawServer::Serve(int socket, int connection) {
  constexpr size_t kPreface = 24, kFrameHeader = 9;
  Receive(socket, kPreface);
  Send(socket, Frame(kSettings, 0, 0));
  std::map<uint32_t, std::string> unread;  // of each stream's messages
  for (;;) {
    const std::string header = Receive(socket, kFrameHeader);
    if (header.size() < kFrameHeader) break;
    const std::string payload = Receive(socket, FromBigEndian(header.substr(0, 3)));
    const auto type = static_cast<uint8_t>(header[3]);
    const bool is_ack = (header[4] & kAck) != 0;
    const uint32_t stream = FromBigEndian(header.substr(5));
    if ((type == kSettings || type == kPing) && !is_ack) Acknowledge(socket, type, payload);
    if (type != kData) continue;
    unread[stream] += payload;
    if (!AnswerMessages(socket, connection, stream, unread[stream])) break;
  }
  const absl::MutexLock lock(&mutex_);
  sockets_.erase(socket);
  close(socket);
}

void RawServer::Acknowledge(int socket, uint8_t type, const std::string& payload) {
  Send(socket, Frame(type, kAck, 0, type == kPing ? payload : ""));
}

bool RawServer::AnswerMessages(int socket, int connection, uint32_t stream, std::string& unread) {
  constexpr size_t kPrefix = 5;  // of gRPC's, before a message: not compressed, its bytes
  while (unread.size() >= kPrefix) {
    const size_t bytes = FromBigEndian(absl::string_view(unread).substr(1, 4));
    if (unread.size() < kPrefix + bytes) break;
    Received received = {.number = 0,
                         .connection = connection,
                         .stream = stream,
                         .message = unread.substr(kPrefix, bytes)};
    unread.erase(0, kPrefix + bytes);
    {
      const absl::MutexLock lock(&mutex_);
      received.number = messages_++;
    }
    const Answer answer = answerer_(received);
    Send(socket, answer.bytes);
    if (answer.then == Then::kStay) continue;
    const linger now = {.l_onoff = answer.then == Then::kReset ? 1 : 0, .l_linger = 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    return false;
  }
  return true;
}

}  // namespace attention::client
