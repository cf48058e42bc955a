#ifndef ATTENTION_TESTS_SERVER_STORED_LAYERS_H_
#define ATTENTION_TESTS_SERVER_STORED_LAYERS_H_

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/attention_client.h"
#include "tests/server/models/safetensors_file.h"
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

// A server with functions for its layers, which it keeps in memory unless a test says more.
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

inline constexpr char kTimesConfig[] = R"({"format": "attention", "num_heads": 1})";

// A layer 1 wide whose output is `factor` times its token.
inline std::string TimesFile(float factor) {
  const std::string header = R"({"q_proj":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},)"
                             R"("k_proj":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]},)"
                             R"("v_proj":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]}})";
  const float values[] = {1, 1, factor};
  return engine::SafetensorsText(
      header, std::string(reinterpret_cast<const char*>(values), sizeof(values)));
}

class LayersToUpload : public ServerWithLayers {
 protected:
  absl::StatusOr<v1::Layer> UploadTimes(const std::string& name, float factor) const {
    return UploadBytes(*client_, name, kTimesConfig, TimesFile(factor));
  }

  // What the layer gives for a token of 1.
  absl::StatusOr<float> Call(const std::string& name, int64_t version = 0) const {
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() = client::MakeTensor({1, 1}, {1});
    request.mutable_tokens()->mutable_layer()->set_name(name);
    request.mutable_tokens()->mutable_layer()->set_version(version);
    request.add_results(v1::RESULT_OUTPUT);
    const auto response = client_->ComputeAttention(request);
    if (!response.ok()) return response.status();
    return Floats(response->output(), {1, 1})[0];
  }

  std::vector<std::string> Listed() const {
    std::vector<std::string> names;
    const auto layers = client_->ListLayers();
    EXPECT_TRUE(layers.ok()) << layers.status();
    for (const v1::Layer& layer : *layers) {
      names.push_back(absl::StrCat(layer.name(), "/", layer.version()));
    }
    return names;
  }
};

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_STORED_LAYERS_H_
