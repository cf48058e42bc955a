#include "server/models/random_layer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/models/families/attention.h"
#include "server/models/families/torch.h"

namespace attention::engine {
namespace {

enum class Fill : uint8_t { kWeight, kTable, kZeros, kOnes };

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;  // of a weight [out, in] where it is transposed
  Fill fill = Fill::kWeight;
  bool transposed = false;

  double Count() const {
    double count = 1;
    for (const int64_t length : shape) count *= static_cast<double>(length);
    return count;
  }
};

std::vector<TensorSpec> TensorsOf(const RandomAttention& a) {
  const int64_t q = a.num_heads * a.head_dim, k = a.num_kv_heads * a.head_dim;
  const int64_t v = a.num_kv_heads * a.v_head_dim, heads = a.num_heads * a.v_head_dim;
  std::vector<TensorSpec> tensors;
  const auto add = [&](const char* name, int64_t in, int64_t out) {
    tensors.push_back({absl::StrCat(name, "_proj"), {in, out}});
    tensors.push_back({absl::StrCat(name, "_bias"), {out}, Fill::kZeros});
  };
  add("q", a.d_model, q);
  add("k", a.d_context, k);
  add("v", a.d_context, v);
  if (a.d_out > 0) add("o", heads, a.d_out);
  return tensors;
}

std::vector<TensorSpec> TensorsOf(const RandomEncoder& e) {
  const int64_t d = e.d_model;
  std::vector<TensorSpec> tensors;
  if (e.vocabulary > 0) {
    tensors.push_back({"embedding.weight", {e.vocabulary, d}, Fill::kTable});
  }
  if (e.positions == PositionKind::kLearned) {
    tensors.push_back({"position_embedding.weight", {e.max_len, d}, Fill::kTable});
  }
  for (int64_t i = 0; i < e.num_layers; ++i) {
    const auto add = [&](const char* weight, const char* bias, int64_t in, int64_t out) {
      const std::string layer = absl::StrCat("layers.", i, ".");
      tensors.push_back({layer + weight, {out, in}, Fill::kWeight, /*transposed=*/true});
      tensors.push_back({layer + bias, {out}, Fill::kZeros});
    };
    add("self_attn.in_proj_weight", "self_attn.in_proj_bias", d, 3 * d);
    add("self_attn.out_proj.weight", "self_attn.out_proj.bias", d, d);
    add("linear1.weight", "linear1.bias", d, e.ffn_dim);
    add("linear2.weight", "linear2.bias", e.ffn_dim, d);
    for (const char* const norm : {"norm1", "norm2"}) {
      const std::string name = absl::StrCat("layers.", i, ".", norm);
      tensors.push_back({name + ".weight", {d}, Fill::kOnes});
      tensors.push_back({name + ".bias", {d}, Fill::kZeros});
    }
  }
  return tensors;
}

std::vector<TensorSpec> TensorsOf(const RandomLayerSpec& spec) {
  return std::visit([](const auto& layer) { return TensorsOf(layer); }, spec.layer);
}

// The natural logarithm of 0 < x < 1 within 2^-50, the same bits everywhere: of x = m 2^e with m
// between sqrt(1/2) and sqrt(2), ln x = e ln 2 + 2 atanh(z), z = (m - 1) / (m + 1), whose series in
// z^2 <= 0.03 ends after twelve terms.
double Log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752) {
    m *= 2;
    --exponent;
  }
  const double z = (m - 1) / (m + 1), square = z * z;
  double sum = 0;
  for (int i = 23; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
  return exponent * 0.69314718055994531 + 2 * z * sum;
}

class Numbers {
 public:
  explicit Numbers(uint64_t seed) : bits_(seed) {}

  // Uniform over [-1, 1).
  double Uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-52 - 1; }

  // Of mean 0 and variance 1, by Marsaglia's polar method.
  double Gaussian() {
    if (has_other_) {
      has_other_ = false;
      return other_;
    }
    double a = 0, b = 0, s = 0;
    do {
      a = Uniform();
      b = Uniform();
      s = a * a + b * b;
    } while (s >= 1 || s == 0);
    const double factor = std::sqrt(-2 * Log(s) / s);
    other_ = b * factor;
    has_other_ = true;
    return a * factor;
  }

 private:
  std::mt19937_64 bits_;
  bool has_other_ = false;
  double other_ = 0;
};

// What a number is drawn from: its spread, and whether it is Gaussian.
struct Distribution {
  double spread = 1;
  bool gaussian = false;
};

Distribution DistributionOf(const RandomLayerSpec& spec, const TensorSpec& tensor) {
  const double rows = static_cast<double>(tensor.shape[0]);
  const double columns = static_cast<double>(tensor.shape.back());
  const double in = tensor.transposed ? columns : rows;
  switch (spec.initialization) {
    case Initialization::kUniform:
      return {spec.scale, false};
    case Initialization::kGaussian:
      return {spec.scale, true};
    default:
      break;
  }
  if (tensor.fill == Fill::kTable) return {1, true};
  switch (spec.initialization) {
    case Initialization::kXavierUniform:
      return {std::sqrt(6 / (rows + columns)), false};
    case Initialization::kXavierNormal:
      return {std::sqrt(2 / (rows + columns)), true};
    case Initialization::kKaimingUniform:
      return {std::sqrt(6 / in), false};
    default:
      return {std::sqrt(2 / in), true};
  }
}

using Write = absl::FunctionRef<absl::Status(absl::Span<const std::byte>)>;

template <typename T>
absl::Status WriteValues(absl::Span<const T> values, Write write) {
  return write({reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T)});
}

absl::Status WriteTensor(const RandomLayerSpec& spec, const TensorSpec& tensor, size_t index,
                         Write write) {
  constexpr int64_t kChunk = 1 << 18;  // 1 MiB
  Numbers numbers(spec.seed + 0x9E3779B97F4A7C15u * (index + 1));
  const Distribution from = DistributionOf(spec, tensor);
  const auto draw = [&] {
    if (tensor.fill == Fill::kZeros) return 0.0f;
    if (tensor.fill == Fill::kOnes) return 1.0f;
    return static_cast<float>(from.spread *
                              (from.gaussian ? numbers.Gaussian() : numbers.Uniform()));
  };
  std::vector<float> chunk;
  for (auto left = static_cast<int64_t>(tensor.Count()); left > 0;) {
    chunk.resize(std::min(left, kChunk));
    for (float& x : chunk) x = draw();
    absl::Status status = WriteValues<float>(chunk, write);
    if (!status.ok()) return status;
    left -= static_cast<int64_t>(chunk.size());
  }
  return absl::OkStatus();
}

std::string Header(const std::vector<TensorSpec>& tensors) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  int64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    const int64_t end = offset + static_cast<int64_t>(sizeof(float) * tensor.Count());
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 63) / 64 * 64 + 56, ' ');  // so that the data begins on a cache line
  return text;
}

}  // namespace

std::string RandomLayerConfig(const RandomLayerSpec& spec) {
  nlohmann::ordered_json config;
  if (const auto* const a = std::get_if<RandomAttention>(&spec.layer)) {
    config = {{"format", families::kAttention.names[0]},
              {"num_heads", a->num_heads},
              {"num_kv_heads", a->num_kv_heads}};
  } else {
    const auto& e = std::get<RandomEncoder>(spec.layer);
    config = {{"format", families::kTorchEncoder.names[0]},
              {"num_heads", e.num_heads},
              {"norm_first", e.norm_first},
              {"activation", ActivationName(e.activation)},
              {"positions", PositionName(e.positions)}};
    if (e.max_len > 0) config["max_len"] = e.max_len;
  }
  return config.dump(2);
}

double RandomLayerBytes(const RandomLayerSpec& spec) {
  double bytes = 0;
  for (const TensorSpec& tensor : TensorsOf(spec)) bytes += sizeof(float) * tensor.Count();
  return bytes;
}

absl::Status WriteRandomLayer(const RandomLayerSpec& spec, Write write) {
  const std::vector<TensorSpec> tensors = TensorsOf(spec);
  const std::string header = Header(tensors);
  const uint64_t header_bytes = header.size();
  absl::Status status = WriteValues<uint64_t>({&header_bytes, 1}, write);
  if (status.ok()) status = WriteValues<char>(header, write);
  for (size_t i = 0; i < tensors.size() && status.ok(); ++i) {
    status = WriteTensor(spec, tensors[i], i, write);
  }
  return status;
}

}  // namespace attention::engine
