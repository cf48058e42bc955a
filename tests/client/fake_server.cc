#include "tests/client/fake_server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attention::client {

namespace {

constexpr char kServiceName[] = "attention.v1.AttentionService";

}  // namespace

FakeServer::FakeServer(Answer answer, int max_receive_bytes, const std::string& address)
    : answer_(std::move(answer)) {
  grpc::EnableDefaultHealthCheckService(true);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address.empty() ? "127.0.0.1:0" : address,
                           grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(max_receive_bytes);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  EXPECT_NE(server_, nullptr);
  server_->GetHealthCheckService()->SetServingStatus(kServiceName, true);
  target_ = address.empty() ? absl::StrCat("127.0.0.1:", port) : address;
}

FakeServer::~FakeServer() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

void FakeServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

size_t FakeServer::connections() const {
  const absl::MutexLock lock(&mutex_);
  return peers_.size();
}

grpc::Status FakeServer::ComputeAttention(grpc::ServerContext* context,
                                          const v1::ComputeAttentionRequest* request,
                                          v1::ComputeAttentionResponse* response) {
  {
    const absl::MutexLock lock(&mutex_);
    peers_.insert(context->peer());
  }
  return answer_(*request, *response);
}

grpc::Status FakeServer::StreamAttention(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::ComputeAttentionResponse, v1::ComputeAttentionRequest>* stream) {
  v1::ComputeAttentionRequest request;
  while (stream->Read(&request)) {
    v1::ComputeAttentionResponse response;
    const grpc::Status status = answer_(request, response);
    response.set_request_id(request.request_id());
    if (!status.ok()) {
      response.mutable_error()->set_code(status.error_code());
      response.mutable_error()->set_message(status.error_message());
    }
    stream->Write(response);
  }
  if (context->IsCancelled() && !cancelled_.HasBeenNotified()) cancelled_.Notify();
  return grpc::Status::OK;
}

AttentionClient ClientOf(const std::string& target) {
  return *AttentionClient::Create({.target = target, .timeout = absl::Seconds(20)});
}

grpc::Status EchoTokens(const v1::ComputeAttentionRequest& request,
                        v1::ComputeAttentionResponse& response) {
  response.set_request_id(request.request_id());
  *response.mutable_output() = request.tokens().tokens();
  return grpc::Status::OK;
}

NoServer::NoServer() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};  // port 0: a free one
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const any_address = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(socket_, any_address, length), 0);
  EXPECT_EQ(getsockname(socket_, any_address, &length), 0);
  target_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
}

NoServer::~NoServer() { close(socket_); }

}  // namespace attention::client
