#include "server/models/stored_layer.h"

#include <utility>

#include "kernels/memory/panel_layout.h"
#include "kernels/onednn/onednn_matmul.h"
#include "kernels/products/linear_op.h"
#include "server/models/read_model.h"

namespace attention::engine {

StoredLayer::StoredLayer(Name name, std::string config_json, MappedFile file)
    : name_(std::move(name)), config_json_(std::move(config_json)), file_(std::move(file)) {}

absl::StatusOr<std::shared_ptr<StoredLayer>> StoredLayer::Make(Name name, std::string config_json,
                                                               MappedFile file) {
  std::shared_ptr<StoredLayer> layer(
      new StoredLayer(std::move(name), std::move(config_json), std::move(file)));
  if (absl::Status status = layer->Read(); !status.ok()) return status;
  return layer;
}

absl::Status StoredLayer::Read() {
  const absl::StatusOr<LayerConfig> config = LayerConfig::Parse(config_json_);
  if (!config.ok()) return config.status();
  config_ = *config;
  const absl::StatusOr<Safetensors> tensors = Safetensors::Parse(file_.bytes());
  if (!tensors.ok()) return tensors.status();
  absl::StatusOr<LayerModel> model = ReadModel(*tensors, config_, vectors_);
  if (!model.ok()) return model.status();
  model_ = *std::move(model);
  absl::Status usable;
  ForEachLinear(
      model_, [&](const Linear& linear) { usable.Update(LinearOp::CheckWidth(linear.weight.in)); });
  if (!usable.ok()) return usable;
  for (const auto& [name, tensor] : tensors->tensors) parameters_ += tensor.count();
  sha256_ = Sha256(file_);
  return absl::OkStatus();
}

int64_t StoredLayer::HeapBytes() const {
  auto bytes = static_cast<int64_t>(config_json_.size());
  for (const std::vector<float>& vector : vectors_) {
    bytes += static_cast<int64_t>(vector.size() * sizeof(float));
  }
  return bytes;
}

int64_t StoredLayer::PackedBytes(ComputeType compute_type) const {
  const DataType operand = OnednnMatmul::OperandsFor(compute_type).operand;
  int64_t bytes = 0;
  ForEachLinear(model_, [&](const Linear& linear) {
    bytes += attention::PackedBytes(linear.weight.in, linear.weight.out, operand);
  });
  return bytes;
}

}  // namespace attention::engine
