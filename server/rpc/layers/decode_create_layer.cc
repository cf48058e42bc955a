#include "server/rpc/layers/decode_create_layer.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/products/linear_op.h"
#include "server/rpc/messages/decode_layer.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

constexpr int64_t kMostWidth = LinearOp::kMostIn;
constexpr int64_t kMostTokens = 1 << 24;
constexpr int64_t kMostHeads = 1 << 16;  // as in a config.json

// Reads numbers one after the other and keeps the first that is wrong.
class Sizes {
 public:
  explicit Sizes(std::string field) : field_(std::move(field)) {}

  // `got`, or `otherwise` where it is 0.
  int64_t Read(const char* name, int64_t got, int64_t otherwise, int64_t most) {
    const int64_t size = got == 0 ? otherwise : got;
    if (size < 1 || size > most) {
      Fail(name, absl::StrCat("is ", got, "; want 1 to ", most,
                              otherwise > 0 ? absl::StrCat(", or 0 for ", otherwise) : ""));
      return 1;
    }
    return size;
  }

  void Fail(const char* name, const std::string& problem) {
    if (status_.ok()) status_ = FieldError(absl::StrCat(field_, ".", name), problem);
  }
  const absl::Status& status() const { return status_; }

 private:
  const std::string field_;
  absl::Status status_;
};

absl::Status Decode(const v1::CreateAttention& from, engine::RandomAttention& to) {
  Sizes sizes("attention");
  to.d_model = sizes.Read("d_model", from.d_model(), 0, kMostWidth);
  to.num_heads = sizes.Read("num_heads", from.num_heads(), 1, kMostHeads);
  to.num_kv_heads = sizes.Read("num_kv_heads", from.num_kv_heads(), to.num_heads, kMostHeads);
  if (to.num_heads % to.num_kv_heads != 0) {
    sizes.Fail("num_kv_heads", absl::StrCat("is ", to.num_kv_heads,
                                            "; want a divisor of num_heads = ", to.num_heads));
  }
  const bool whole = to.d_model % to.num_heads == 0;
  if (!whole && from.head_dim() == 0) {
    sizes.Fail("head_dim", absl::StrCat("is not set; want it, since d_model = ", to.d_model,
                                        " is no multiple of num_heads = ", to.num_heads));
  }
  to.head_dim =
      sizes.Read("head_dim", from.head_dim(), whole ? to.d_model / to.num_heads : 1, kMostWidth);
  to.v_head_dim = sizes.Read("v_head_dim", from.v_head_dim(), to.head_dim, kMostWidth);
  to.d_context = sizes.Read("d_context", from.d_context(), to.d_model, kMostWidth);
  if (from.no_output_projection() && from.d_out() != 0) {
    sizes.Fail("d_out", "is set; want it unset with no_output_projection");
  }
  to.d_out =
      from.no_output_projection() ? 0 : sizes.Read("d_out", from.d_out(), to.d_model, kMostWidth);
  return sizes.status();
}

absl::Status Decode(const v1::CreateEncoder& from, engine::RandomEncoder& to) {
  using v1::CreateEncoder;
  Sizes sizes("encoder");
  to.d_model = sizes.Read("d_model", from.d_model(), 0, kMostWidth);
  to.num_heads = sizes.Read("num_heads", from.num_heads(), 1, kMostHeads);
  if (to.d_model % to.num_heads != 0) {
    sizes.Fail("num_heads",
               absl::StrCat("is ", to.num_heads, "; want a divisor of d_model = ", to.d_model));
  }
  to.num_layers = sizes.Read("num_layers", from.num_layers(), 1, 1024);
  to.ffn_dim = sizes.Read("ffn_dim", from.ffn_dim(), 4 * to.d_model, kMostWidth);
  to.norm_first = from.norm_first();
  if (!CreateEncoder::FeedForwardActivation_IsValid(from.activation())) {
    sizes.Fail("activation", absl::StrCat("is unknown: ", from.activation()));
  }
  to.activation = from.activation() == CreateEncoder::FEED_FORWARD_ACTIVATION_RELU
                      ? Activation::kRelu
                  : from.activation() == CreateEncoder::FEED_FORWARD_ACTIVATION_GELU_TANH
                      ? Activation::kGeluTanh
                      : Activation::kGelu;
  if (from.vocabulary() != 0) {
    to.vocabulary = sizes.Read("vocabulary", from.vocabulary(), 0, kMostTokens);
  }
  if (!CreateEncoder::Positions_IsValid(from.positions())) {
    sizes.Fail("positions", absl::StrCat("is unknown: ", from.positions()));
  }
  using engine::PositionKind;
  to.positions = from.positions() == CreateEncoder::POSITIONS_LEARNED ? PositionKind::kLearned
                 : from.positions() == CreateEncoder::POSITIONS_SINUSOIDAL
                     ? PositionKind::kSinusoidal
                 : from.positions() == CreateEncoder::POSITIONS_ROTARY ? PositionKind::kRotary
                                                                       : PositionKind::kNone;
  const bool needs_len =
      to.positions == PositionKind::kLearned || to.positions == PositionKind::kSinusoidal;
  if (needs_len || from.max_len() != 0) {
    to.max_len = sizes.Read("max_len", from.max_len(), needs_len ? 512 : 0, kMostTokens);
  }
  if (to.positions == PositionKind::kRotary && to.d_model / to.num_heads % 2 != 0) {
    sizes.Fail("positions", absl::StrCat("is POSITIONS_ROTARY; want heads of an even width, not ",
                                         to.d_model / to.num_heads));
  }
  return sizes.status();
}

engine::Initialization ToInitialization(v1::Initialization from) {
  switch (from) {
    case v1::INITIALIZATION_UNIFORM:
      return engine::Initialization::kUniform;
    case v1::INITIALIZATION_GAUSSIAN:
      return engine::Initialization::kGaussian;
    case v1::INITIALIZATION_XAVIER_NORMAL:
      return engine::Initialization::kXavierNormal;
    case v1::INITIALIZATION_KAIMING_UNIFORM:
      return engine::Initialization::kKaimingUniform;
    case v1::INITIALIZATION_KAIMING_NORMAL:
      return engine::Initialization::kKaimingNormal;
    default:
      return engine::Initialization::kXavierUniform;
  }
}

}  // namespace

absl::StatusOr<engine::RandomLayerSpec> DecodeCreateLayer(const v1::CreateLayerRequest& request,
                                                          int64_t most_bytes) {
  absl::Status status = CheckLayerName(request.name(), "name");
  engine::RandomLayerSpec spec;
  if (status.ok() && request.has_attention()) {
    status = Decode(request.attention(), spec.layer.emplace<engine::RandomAttention>());
  } else if (status.ok() && request.has_encoder()) {
    status = Decode(request.encoder(), spec.layer.emplace<engine::RandomEncoder>());
  } else if (status.ok()) {
    status = FieldError("layer", "is not set; want attention or encoder");
  }
  if (!status.ok()) return status;
  if (!v1::Initialization_IsValid(request.initialization())) {
    return FieldError("initialization", absl::StrCat("is unknown: ", request.initialization()));
  }
  if (!std::isfinite(request.scale()) || request.scale() < 0) {
    return FieldError("scale",
                      absl::StrCat("is ", request.scale(), "; want a finite number above 0, or 0"));
  }
  spec.initialization = ToInitialization(request.initialization());
  if (request.scale() > 0) spec.scale = request.scale();
  spec.seed = request.seed();
  if (const double bytes = engine::RandomLayerBytes(spec);
      bytes > static_cast<double>(most_bytes)) {
    return FieldError("layer", absl::StrFormat("would have %.0f bytes; want at most %d, the memory "
                                               "for layers (--layer_memory_mib)",
                                               bytes, most_bytes));
  }
  return spec;
}

}  // namespace attention::rpc
