#include "server/models/read_model.h"

namespace attention::engine {

absl::StatusOr<LayerModel> ReadModel(const Safetensors& file, const LayerConfig& config,
                                     FloatVectors& vectors) {
  TensorReader tensors(file, config, vectors);
  LayerModel model;
  if (config.family->model_kind == ModelKind::kAttention) {
    model = ReadAttention(config, tensors, vectors);
  } else {
    model = ReadEncoder(config, tensors, vectors);
  }
  if (config.family->config_kind == ConfigKind::kFormat) tensors.RefuseOthers();
  if (!tensors.status().ok()) return tensors.status();
  return model;
}

}  // namespace attention::engine
