#ifndef ATTENTION_TESTS_SERVER_RUNNING_SERVER_H_
#define ATTENTION_TESTS_SERVER_RUNNING_SERVER_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "attention/v1/attention_service.pb.h"
#include "client/attention_client.h"
#include "client/tensor.h"
#include "server/server.h"

namespace attention {

// A real server on a free loopback port and a real client of it.
class RunningServer : public testing::Test {
 protected:
  void SetUp() override { Start({.port = 0, .threads = 2}); }

  void Start(const ServerOptions& options) {
    server_.reset();
    auto server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto client = client::AttentionClient::Create(
        {.target = server_->address(), .retries = {.attempts = 1}});  // what the server says first
    ASSERT_TRUE(client.ok()) << client.status();
    client_.emplace(*std::move(client));
  }

  // The answer to a call that must succeed.
  v1::ComputeAttentionResponse Compute(const v1::ComputeAttentionRequest& request) const {
    auto response = client_->ComputeAttention(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *std::move(response) : v1::ComputeAttentionResponse();
  }

  std::unique_ptr<Server> server_;
  std::optional<client::AttentionClient> client_;
};

// The elements of a tensor that must have this shape.
inline std::vector<float> Floats(const v1::Tensor& tensor, const std::vector<int64_t>& shape) {
  EXPECT_EQ(std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end()), shape);
  auto values = client::FloatValues(tensor);
  EXPECT_TRUE(values.ok()) << values.status();
  return values.ok() ? *values : std::vector<float>();
}

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_RUNNING_SERVER_H_
