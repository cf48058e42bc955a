#ifndef ATTENTION_SERVER_MODELS_LAYER_CONFIG_H_
#define ATTENTION_SERVER_MODELS_LAYER_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/attention/rotary.h"
#include "kernels/encoder/encoder.h"
#include "kernels/onednn/activation.h"

namespace attention::engine {

struct Family;

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
// or the config.json of a Hugging Face model, known by its "model_type", whose members that concern
// computing are read and whose others do not matter. What its members are called and which of those
// below they set is the family's to say (family.h), and so is what holds without them.
struct LayerConfig {
  // Larger texts are refused before they are parsed.
  static constexpr size_t kMostBytes = size_t{1} << 20;

  // By whose names the layer is stored; lives as long as the program.
  const Family* family = nullptr;
  int64_t num_heads = 1;
  int64_t num_kv_heads = 0;    // a divisor of num_heads; where none is given, num_heads
  bool add_zero_attn = false;  // as in torch.nn.MultiheadAttention
  BlockDescription block = {};
  double layer_norm_eps = 1e-5;
  // Where there is no value: learned where the file has a table of positions, none otherwise.
  std::optional<PositionKind> positions = {};
  // Tokens of a sequence at most; 0: no bound but that of a table. Required for sinusoidal ones.
  int64_t max_len = 0;
  double rotary_base = 10000;
  RotaryPairing rotary_pairing = RotaryPairing::kSplitHalf;
  int64_t padding_id = 1;  // for a family that skips padding
  // 0: the tensors tell. Otherwise they must agree.
  int64_t d_model = 0;
  int64_t ffn_dim = 0;
  int64_t num_layers = 0;

  // INVALID_ARGUMENT where `json` is none (json_text.h) or is no object, names none of `families`,
  // lacks what its family requires, has a member that this does not know (Hugging Face's aside), or
  // one of another type or out of range. The message names the member, what it is and what is
  // wanted. The second form knows all families.
  static absl::StatusOr<LayerConfig> Parse(absl::string_view json,
                                           absl::Span<const Family* const> families);
  static absl::StatusOr<LayerConfig> Parse(absl::string_view json);
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_LAYER_CONFIG_H_
