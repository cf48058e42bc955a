#ifndef ATTENTION_TESTS_SERVER_STORED_LAYERS_H_
#define ATTENTION_TESTS_SERVER_STORED_LAYERS_H_

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "client/attention_client.h"
#include "tests/server/running_server.h"

namespace attention {

inline std::string FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// Uploads `file`, the bytes of a safetensors file.
inline absl::StatusOr<v1::Layer> UploadBytes(const client::AttentionClient& client,
                                             const std::string& name, const std::string& config,
                                             absl::string_view file, size_t chunk = 1000) {
  v1::UploadLayerHeader header;
  header.set_name(name);
  header.set_config_json(config);
  return client.UploadLayer(header, [&]() -> absl::StatusOr<absl::string_view> {
    const absl::string_view next = file.substr(0, chunk);
    file.remove_prefix(next.size());
    return next;
  });
}

// A small attention layer of random weights: 8 wide, 2 heads.
inline v1::CreateLayerRequest SmallAttention(const std::string& name, uint64_t seed) {
  v1::CreateLayerRequest request;
  request.set_name(name);
  request.mutable_attention()->set_d_model(8);
  request.mutable_attention()->set_num_heads(2);
  request.set_seed(seed);
  return request;
}

// A server with its layers in a folder.
class ServerWithLayers : public RunningServer {
 protected:
  v1::Layer Create(const v1::CreateLayerRequest& request) const {
    auto layer = client_->CreateLayer(request);
    EXPECT_TRUE(layer.ok()) << layer.status();
    return layer.ok() ? *std::move(layer) : v1::Layer();
  }
  v1::EncodeResponse Encode(const v1::EncodeRequest& request) const {
    auto response = client_->Encode(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *std::move(response) : v1::EncodeResponse();
  }
};

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_STORED_LAYERS_H_
