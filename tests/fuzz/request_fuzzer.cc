// Any bytes as a message of the attention service: they are no message, or are refused in words, or
// are decoded into a call whose results have room. The first byte chooses the message.
#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "server/models/layer_store.h"
#include "server/models/random_layer.h"
#include "server/rpc/attention/decode_request.h"
#include "server/rpc/attention/write_response.h"
#include "server/rpc/encoder/write_encode_response.h"

namespace attention {
namespace {

void Add(engine::LayerStore& layers, const char* name, const engine::RandomLayerSpec& spec) {
  auto upload = layers.Begin(name, engine::RandomLayerConfig(spec));
  if (!upload.ok()) std::abort();
  const absl::Status written = engine::WriteRandomLayer(
      spec, [&](absl::Span<const std::byte> bytes) { return upload->Write(bytes); });
  if (!written.ok() || !upload->Finish().ok() || !upload->Publish().ok()) std::abort();
}

// An attention layer "a" and an encoder "e", both 4 wide with 2 heads.
std::unique_ptr<engine::LayerStore> SmallLayers() {
  auto layers = engine::LayerStore::Open({.folder = "", .memory_bytes = 64 << 20});
  if (!layers.ok()) std::abort();
  engine::RandomLayerSpec spec;
  spec.layer = engine::RandomAttention{.d_model = 4,
                                       .d_context = 4,
                                       .num_heads = 2,
                                       .num_kv_heads = 1,
                                       .head_dim = 2,
                                       .v_head_dim = 2,
                                       .d_out = 4};
  Add(**layers, "a", spec);
  spec.layer = engine::RandomEncoder{
      .num_layers = 1, .d_model = 4, .num_heads = 2, .ffn_dim = 4, .vocabulary = 8};
  Add(**layers, "e", spec);
  return *std::move(layers);
}

engine::LayerStore& Layers() {
  static const std::unique_ptr<engine::LayerStore> layers = SmallLayers();
  return *layers;
}

// Of texts that are not UTF-8 protobuf would write a line each.
const bool quiet = (google::protobuf::SetLogHandler(nullptr), true);

template <typename Request, typename Response>
void Decode(const uint8_t* data, size_t size) {
  Request request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return;
  const rpc::RequestLimits limits = {.max_message_bytes = 1 << 16, .max_tokens = 1 << 12};
  auto decoded = rpc::DecodeRequest(request, limits, Layers());
  if (!decoded.ok()) {
    if (decoded.status().message().empty()) std::abort();
    return;
  }
  if (rpc::ResponseBytes(*decoded) > limits.max_message_bytes) std::abort();
  Response response;
  rpc::MakeRoom(*decoded, response);
}

}  // namespace
}  // namespace attention

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attention;  // NOLINT(google-build-using-namespace)
  if (size == 0) return 0;
  if (data[0] % 4 == 0) {
    Decode<v1::EncodeRequest, v1::EncodeResponse>(data + 1, size - 1);
  } else {
    Decode<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse>(data + 1, size - 1);
  }
  return 0;
}
