#ifndef ATTENTION_SERVER_MODELS_LAYER_CONFIG_H_
#define ATTENTION_SERVER_MODELS_LAYER_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/attention/rotary.h"
#include "kernels/onednn/activation.h"

namespace attention::engine {

// By whose tensor names and layouts a layer's file goes.
enum class LayerFormat : uint8_t {
  kAttention,  // q_proj, k_proj, v_proj, o_proj ... as in ProjectionWeights, [in, out]
  kTorchMultiheadAttention,  // torch.nn.MultiheadAttention
  kTorchEncoderLayer,        // torch.nn.TransformerEncoderLayer
  kTorchEncoder,             // torch.nn.TransformerEncoder, with or without an embedding
  kBert,                     // Hugging Face BertModel
  kRoberta,                  // Hugging Face RobertaModel, XLMRobertaModel
};

// How a config.json names the format, such as "torch.nn.MultiheadAttention" or, of Hugging Face's
// models, their model_type.
absl::string_view FormatName(LayerFormat format);

// How tokens learn their place.
enum class PositionKind : uint8_t {
  kNone,
  kLearned,     // a table in the file
  kSinusoidal,  // Vaswani et al. 2017, section 3.5
  kRotary,      // Su et al. 2021, in each layer
};

// "relu", "gelu" or "gelu_tanh"; "none", "learned", "sinusoidal" or "rotary".
absl::string_view ActivationName(Activation activation);
absl::string_view PositionName(PositionKind kind);

// What a layer's tensors do not say. A config.json is one object:
//
//   {"format": "torch.nn.TransformerEncoder", "num_heads": 8, "activation": "gelu", ...}
//
// with the members below by their names, each only where its format has it; or it is the
// config.json of a Hugging Face model, known by its "model_type", whose members that concern
// computing are read and whose others do not matter.
struct LayerConfig {
  // Larger texts are refused before they are parsed.
  static constexpr size_t kMostBytes = size_t{1} << 20;

  LayerFormat format = LayerFormat::kAttention;
  int64_t num_heads = 1;                      // required; all formats
  int64_t num_kv_heads = 1;                   // kAttention; default num_heads
  bool add_zero_attn = false;                 // kTorchMultiheadAttention
  bool norm_first = false;                    // kTorchEncoderLayer, kTorchEncoder, as those below
  Activation activation = Activation::kRelu;  // "relu" (PyTorch's default), "gelu", "gelu_tanh"
  float layer_norm_eps = 1e-5f;
  // "none", "learned", "sinusoidal", "rotary". Default: learned where the file has
  // position_embedding.weight, none otherwise.
  std::optional<PositionKind> positions;
  // Tokens of a sequence at most; 0: no bound but that of a table. Required for sinusoidal ones.
  int64_t max_len = 0;
  double rotary_base = 10000;
  RotaryPairing rotary_pairing = RotaryPairing::kSplitHalf;  // "split_half", "interleaved"
  int64_t padding_id = 1;                                    // kRoberta: pad_token_id
  // Where they are given the tensors must agree: hidden_size, intermediate_size and
  // num_hidden_layers of Hugging Face's models.
  std::optional<int64_t> d_model;
  std::optional<int64_t> ffn_dim;
  std::optional<int64_t> num_layers;

  // INVALID_ARGUMENT where `json` is none (json_text.h) or is no object, lacks what its format
  // requires, has a member that its format does not know (Hugging Face's aside), or one of another
  // type or out of range. The message names the member, what it is and what is wanted.
  static absl::StatusOr<LayerConfig> Parse(absl::string_view json);
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_LAYER_CONFIG_H_
