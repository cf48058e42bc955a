#ifndef ATTENTION_SERVER_MODELS_RANDOM_LAYER_H_
#define ATTENTION_SERVER_MODELS_RANDOM_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/onednn/activation.h"
#include "server/models/layer_config.h"

namespace attention::engine {

// From what the numbers of a weight matrix [in, out] are drawn; its vectors are zeros, those of
// layer norms ones and zeros, and rows of tables are drawn from N(0, 1).
enum class Initialization : uint8_t {
  kUniform,         // U(-scale, scale), tables too
  kGaussian,        // N(0, scale^2), tables too
  kXavierUniform,   // U(-b, b), b = sqrt(6 / (in + out))      (Glorot and Bengio 2010, eq. 16)
  kXavierNormal,    // N(0, 2 / (in + out))
  kKaimingUniform,  // U(-b, b), b = sqrt(6 / in)             (He et al. 2015, section 2.2)
  kKaimingNormal,   // N(0, 2 / in)
};

// All sizes at least 1 unless 0 is said to mean something.
struct RandomAttention {
  int64_t d_model = 1;
  int64_t d_context = 1;
  int64_t num_heads = 1;
  int64_t num_kv_heads = 1;  // divides num_heads
  int64_t head_dim = 1;
  int64_t v_head_dim = 1;
  int64_t d_out = 0;  // of the output projection; 0: there is none
};

struct RandomEncoder {
  int64_t num_layers = 1;
  int64_t d_model = 1;  // a multiple of num_heads
  int64_t num_heads = 1;
  int64_t ffn_dim = 1;
  bool norm_first = false;
  Activation activation = Activation::kRelu;
  int64_t vocabulary = 0;  // of the embedding table; 0: there is none
  PositionKind positions = PositionKind::kNone;
  int64_t max_len = 0;  // for learned and sinusoidal positions at least 1
};

struct RandomLayerSpec {
  std::variant<RandomAttention, RandomEncoder> layer;
  Initialization initialization = Initialization::kXavierUniform;
  double scale = 0.02;  // above 0, finite
  uint64_t seed = 0;
};

// The config.json of the layer: format "attention" or "torch.nn.TransformerEncoder".
std::string RandomLayerConfig(const RandomLayerSpec& spec);

// Bytes of the layer's safetensors file, float32. A double, which does not overflow.
double RandomLayerBytes(const RandomLayerSpec& spec);

// Writes that file, piece by piece. The same spec gives the same bytes on every machine and
// compiler: the Mersenne Twister of the C++ standard, one a tensor, and IEEE 754 arithmetic do not
// differ, and the logarithm that Gaussian numbers need is our own. Fails as `write`, in which it
// ends.
absl::Status WriteRandomLayer(const RandomLayerSpec& spec,
                              absl::FunctionRef<absl::Status(absl::Span<const std::byte>)> write);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_RANDOM_LAYER_H_
