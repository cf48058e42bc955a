#ifndef ATTENTION_TESTS_CLIENT_FAKE_SERVER_H_
#define ATTENTION_TESTS_CLIENT_FAKE_SERVER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "attention/v1/attention_service.grpc.pb.h"
#include "client/attention_client.h"
#include "grpcpp/grpcpp.h"

namespace attention::client {

// A gRPC server, on a free port of the loopback interface unless told otherwise, that answers
// ComputeAttention and StreamAttention as a test says, from this process. Health is gRPC's own.
class FakeServer final : public v1::AttentionService::Service {
 public:
  using Answer = std::function<grpc::Status(const v1::ComputeAttentionRequest& request,
                                            v1::ComputeAttentionResponse& response)>;

  // `max_receive_bytes`: the largest request, as --max_message_mib sets it. `address`: another one
  // to listen at, which becomes the target.
  explicit FakeServer(Answer answer, int max_receive_bytes = -1, const std::string& address = "");
  ~FakeServer() override;

  const std::string& target() const { return target_; }
  void SetServing(bool serving);
  // The connections over which calls of ComputeAttention came.
  size_t connections() const;
  // That a stream ended before its client had said all.
  absl::Notification& cancelled() { return cancelled_; }

 private:
  grpc::Status ComputeAttention(grpc::ServerContext* context,
                                const v1::ComputeAttentionRequest* request,
                                v1::ComputeAttentionResponse* response) override;
  // A call that is refused is answered with `error`; one after the other.
  grpc::Status StreamAttention(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ComputeAttentionResponse, v1::ComputeAttentionRequest>* stream)
      override;

  const Answer answer_;
  absl::Notification cancelled_;
  mutable absl::Mutex mutex_;
  std::set<std::string> peers_ ABSL_GUARDED_BY(mutex_);
  std::string target_;
  std::unique_ptr<grpc::Server> server_;
};

// A client of such a server, and an answer for one: the request's id and tokens.
AttentionClient ClientOf(const std::string& target);
grpc::Status EchoTokens(const v1::ComputeAttentionRequest& request,
                        v1::ComputeAttentionResponse& response);

// A target of this machine where nothing listens: its port is held for as long as this lives, so
// that nobody else comes to listen there, and connections to it are refused.
class NoServer {
 public:
  NoServer();
  ~NoServer();
  NoServer(const NoServer&) = delete;
  NoServer& operator=(const NoServer&) = delete;

  const std::string& target() const { return target_; }

 private:
  int socket_;
  std::string target_;
};

}  // namespace attention::client

#endif  // ATTENTION_TESTS_CLIENT_FAKE_SERVER_H_
