#ifndef ATTENTION_SERVER_MODELS_READ_MODEL_H_
#define ATTENTION_SERVER_MODELS_READ_MODEL_H_

#include "absl/status/statusor.h"
#include "server/models/layer_config.h"
#include "server/models/layer_model.h"
#include "server/models/safetensors.h"
#include "server/models/tensor_reader.h"

namespace attention::engine {

// The model that a file's tensors and its config describe, by the table of the config's family.
// Weights and tables are read in place from the file's memory, small vectors are copied into
// `vectors`; both outlive the result.
//
// INVALID_ARGUMENT names the first tensor that is missing, has another shape than the others and
// the config ask for, or numbers of no known type; and, but for Hugging Face's models, which may
// have heads for other tasks, one that the format does not have.
absl::StatusOr<LayerModel> ReadModel(const Safetensors& file, const LayerConfig& config,
                                     FloatVectors& vectors);

// The two kinds of models. What is wrong is in tensors.status().
AttentionModel ReadAttention(const LayerConfig& config, TensorReader& tensors,
                             FloatVectors& vectors);
EncoderModel ReadEncoder(const LayerConfig& config, TensorReader& tensors, FloatVectors& vectors);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_READ_MODEL_H_
