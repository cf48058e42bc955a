#ifndef ATTENTION_SERVER_MODELS_STORED_LAYER_H_
#define ATTENTION_SERVER_MODELS_STORED_LAYER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/memory/data_type.h"
#include "server/models/layer_config.h"
#include "server/models/layer_model.h"
#include "server/models/mapped_file.h"
#include "server/models/tensor_reader.h"

namespace attention::engine {

// One version of a layer: its file, mapped and checked, and what it computes. Immutable but for
// Retire, so safe to read from many threads; lives as long as a call uses it.
class StoredLayer {
 public:
  struct Name {
    std::string name;
    int64_t version = 1;
  };

  // Reads all of `file` once, for its hash. INVALID_ARGUMENT as LayerConfig::Parse,
  // Safetensors::Parse and ReadModel.
  static absl::StatusOr<std::shared_ptr<StoredLayer>> Make(Name name, std::string config_json,
                                                           MappedFile file);
  // Before others see the layer.
  void SetVersion(int64_t version) { name_.version = version; }
  StoredLayer(const StoredLayer&) = delete;
  StoredLayer& operator=(const StoredLayer&) = delete;

  const std::string& name() const { return name_.name; }
  int64_t version() const { return name_.version; }
  const LayerConfig& config() const { return config_; }
  const std::string& config_json() const { return config_json_; }
  // Weights are in the file's memory and not packed.
  const LayerModel& model() const { return model_; }
  const MappedFile& file() const { return file_; }
  // Of the file's bytes, 64 hexadecimal digits: as sha256sum prints it.
  const std::string& sha256() const { return sha256_; }
  // Numbers in all tensors of the file.
  int64_t parameters() const { return parameters_; }
  // The layer was deleted, or another took its place: what is packed of it is kept for the calls
  // that have it and not beyond.
  void Retire() const { retired_ = true; }
  bool retired() const { return retired_; }

  // Memory that it takes beside the file and what is packed of it.
  int64_t HeapBytes() const;
  // What the weights take when they are packed for products of this type.
  int64_t PackedBytes(ComputeType compute_type) const;

 private:
  StoredLayer(Name name, std::string config_json, MappedFile file);
  absl::Status Read();

  Name name_;
  const std::string config_json_;
  const MappedFile file_;
  LayerConfig config_;
  std::string sha256_;
  int64_t parameters_ = 0;
  FloatVectors vectors_;
  LayerModel model_;
  mutable std::atomic<bool> retired_ = false;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_STORED_LAYER_H_
