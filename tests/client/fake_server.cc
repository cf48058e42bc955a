#include "tests/client/fake_server.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attention::client {

namespace {

constexpr char kServiceName[] = "attention.v1.AttentionService";

}  // namespace

FakeServer::FakeServer(Answer answer, int max_receive_bytes) : answer_(std::move(answer)) {
  grpc::EnableDefaultHealthCheckService(true);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(max_receive_bytes);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  EXPECT_NE(server_, nullptr);
  server_->GetHealthCheckService()->SetServingStatus(kServiceName, true);
  target_ = absl::StrCat("127.0.0.1:", port);
}

FakeServer::~FakeServer() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

void FakeServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

grpc::Status FakeServer::ComputeAttention(grpc::ServerContext*,
                                          const v1::ComputeAttentionRequest* request,
                                          v1::ComputeAttentionResponse* response) {
  return answer_(*request, *response);
}

std::string TargetWithoutServer() {
  // A port that was free a moment ago, and that the system will not give out again at once.
  return FakeServer([](const auto&, auto&) { return grpc::Status::OK; }).target();
}

}  // namespace attention::client
