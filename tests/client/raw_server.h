#ifndef ATTENTION_TESTS_CLIENT_RAW_SERVER_H_
#define ATTENTION_TESTS_CLIENT_RAW_SERVER_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "google/protobuf/message_lite.h"

namespace attention::client {

// Frames of HTTP/2 (RFC 9113) as a gRPC server sends them, or as one does not.
namespace frames {

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string Headers(uint32_t stream);  // of an answer that begins well
std::string HeadersThatEnd(uint32_t stream, const Fields& fields);
std::string Trailers(uint32_t stream, const Fields& fields);
// The first `bytes` of a message, all by default.
std::string Message(uint32_t stream, const google::protobuf::MessageLite& message,
                    size_t bytes = SIZE_MAX);
std::string EndOfData(uint32_t stream);  // without trailers
std::string Reset(uint32_t stream, uint32_t code);

}  // namespace frames

// A server on a free port of the loopback interface that answers each message of a call with the
// bytes that a test says, and then, if the test says so, drops the connection.
class RawServer {
 public:
  struct Received {
    int number;       // of the messages that came to this server, from 0 on
    int connection;   // and of its connections
    uint32_t stream;  // on that connection
    std::string message;
  };
  enum class Then { kStay, kClose, kReset };
  struct Answer {
    std::string bytes;
    Then then = Then::kStay;
  };
  // Called by one thread a connection.
  using Answerer = std::function<Answer(const Received&)>;

  explicit RawServer(Answerer answerer);
  ~RawServer();
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  const std::string& target() const { return target_; }
  int messages() const {
    const absl::MutexLock lock(&mutex_);
    return messages_;
  }

 private:
  void Accept();
  void Serve(int socket, int connection);
  // Answers a ping or the like.
  static void Acknowledge(int socket, uint8_t type, const std::string& payload);
  // Answers the messages that are all there. False: the connection is over.
  bool AnswerMessages(int socket, int connection, uint32_t stream, std::string& unread);

  const Answerer answerer_;
  int listener_;
  std::string target_;
  mutable absl::Mutex mutex_;
  int messages_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<int> sockets_ ABSL_GUARDED_BY(mutex_);  // of the connections that there are
  std::vector<std::thread> threads_;  // of the connections; Accept's until it has ended
  std::thread accepting_;
};

}  // namespace attention::client

#endif  // ATTENTION_TESTS_CLIENT_RAW_SERVER_H_
