#ifndef ATTENTION_SERVER_MODELS_FAMILY_H_
#define ATTENTION_SERVER_MODELS_FAMILY_H_

#include <cstdint>

#include "absl/types/span.h"
#include "server/models/layer_config.h"

// How models of one kind are stored, as data: what their config.json and their tensors are called,
// what each of them is, and which shapes fit together. families/ has a table for each kind that is
// read; README.md says how one is added.
namespace attention::engine {

// The sizes by which tensors of a model have to agree. The numbers of heads come from config.json,
// others may; a size that is not known yet is told by the first tensor that has it.
enum class Size : uint8_t {
  kNone,  // stands for an axis that is not there
  kNumHeads,
  kNumKvHeads,
  kHeadDim,
  kVHeadDim,
  kDModel,    // width of tokens
  kDContext,  // width of the tokens attended to
  kDOut,      // width of the output of an attention layer
  kFfnDim,
  kVocabulary,
  kPlaces,  // positions that have a vector
  kTypes,   // types of tokens
};
inline constexpr int kSizeCount = static_cast<int>(Size::kTypes) + 1;

// The length of one axis of a tensor: copies * size, times the number of heads where there is one.
// In a table it is written as a product: kDModel, 3 * kDModel, kNumHeads * kHeadDim.
struct Axis {
  constexpr Axis() = default;
  constexpr Axis(Size of) : size(of) {}

  Size size = Size::kNone;
  Size heads = Size::kNone;  // kNumHeads or kNumKvHeads
  int64_t copies = 1;
};

constexpr Axis operator*(int64_t copies, Size size) {
  Axis axis(size);
  axis.copies = copies;
  return axis;
}
constexpr Axis operator*(Size heads, Size size) {
  Axis axis(size);
  axis.heads = heads;
  return axis;
}

// What a tensor is to its model. Weights and tables have two axes and are read in place; all others
// have one, become float32 and are small.
enum class Role : uint8_t {
  // Once: in front of the layers and behind them (embedding.h).
  kTokenTable,
  kPositionTable,
  kTypeTable,
  kEmbeddingGamma,
  kEmbeddingBeta,
  kFinalGamma,
  kFinalBeta,
  // Of each layer of an encoder (encoder.h), or of a layer that is attention alone
  // (projections.h). kQkv: those of queries, keys and values in one tensor, in this order, one
  // below the other; only where weights lie as [out, in].
  kQueryWeight,
  kQueryBias,
  kKeyWeight,
  kKeyBias,
  kValueWeight,
  kValueBias,
  kQkvWeight,
  kQkvBias,
  kOutputWeight,
  kOutputBias,
  kUpWeight,
  kUpBias,
  kDownWeight,
  kDownBias,
  kAttentionGamma,
  kAttentionBeta,
  kFfnGamma,
  kFfnBeta,
  // One more key and value that every query sees.
  kExtraKey,
  kExtraValue,
};
inline constexpr int kRoleCount = static_cast<int>(Role::kExtraValue) + 1;

// When a file must have a tensor. A group is all rows of one list with the same presence; the rows
// of each layer are a group of their own.
enum class Presence : uint8_t {
  kRequired,
  kOptional,
  kOptionalBias,      // optional where the tensor of the row above is there, otherwise unknown
  kBiases,            // all of the group or none: PyTorch's bias=False
  kExtraKeys,         // all of the group or none: PyTorch's add_bias_kv=True
  kFused,             // all of the group or none, and then all rows kSeparate
  kSeparate,          // see kFused
  kLearnedPositions,  // where positions are learned; optional where config.json does not say
};

// One tensor.
struct TensorRow {
  const char* name;
  Role role;
  Axis shape[2];  // as the tensor lies in the file; a vector has one axis
  Presence presence = Presence::kRequired;

  constexpr bool is_vector() const { return shape[1].size == Size::kNone; }
};

// What a member of config.json says (layer_config.h has the members of the same names). Those that
// choose among several do so in the words of the format's own or in those of Hugging Face's.
enum class Setting : uint8_t {
  kNumHeads,
  kNumKvHeads,
  kNumLayers,
  kDModel,
  kFfnDim,
  kMaxLen,
  kPaddingId,
  kAddZeroAttn,
  kNormFirst,
  kActivation,    // "relu", "gelu", "gelu_tanh"
  kHiddenAct,     // Hugging Face's words: "gelu", "relu", "gelu_new", "gelu_pytorch_tanh"
  kPositions,     // "none", "learned", "sinusoidal", "rotary"
  kPositionType,  // Hugging Face's word: "absolute", that is learned
  kLayerNormEps,
  kRotaryBase,
  kRotaryPairing,  // "split_half", "interleaved"
  kIsDecoder,      // true is refused
};

// One member of config.json; null is as good as none.
struct MemberRow {
  const char* name;
  Setting setting;
  bool is_required = false;
};

// Whose config.json it is.
enum class ConfigKind : uint8_t {
  // One for this server: known by its "format". Neither members nor tensors may be there that the
  // family does not know.
  kFormat,
  // That of a model of Hugging Face: known by its "model_type". It has members that do not concern
  // computing, and its file may have heads for other tasks.
  kModelType,
};

enum class ModelKind : uint8_t { kAttention, kEncoder };  // as in LayerModel

// How tensors were called in older files, by the ends of their names.
struct OldName {
  const char* now;
  const char* old;
};

// How one kind of model is stored, and what its layers compute.
struct Family {
  // The values of "format" or "model_type"; by the first it is shown.
  absl::Span<const char* const> names = {};
  ConfigKind config_kind = ConfigKind::kFormat;
  absl::Span<const MemberRow> members = {};
  // What holds where config.json says nothing, above all the description of a block (encoder.h).
  LayerConfig defaults = {};
  // RoBERTa's rule: a token of padding_id stands at position padding_id, and the others are counted
  // without it, from padding_id + 1.
  bool skips_padding = false;

  ModelKind model_kind = ModelKind::kEncoder;
  // What may stand before the names of all tensors; the first under which rows[0] is found is it.
  // Empty: nothing.
  absl::Span<const char* const> prefixes = {};
  // Tensors that there are once.
  absl::Span<const TensorRow> rows = {};
  // Tensors of each layer of an encoder, whose names all begin with `layer_prefix`; "{layer}" in
  // that is the layer's number, from 0.
  const char* layer_prefix = "";
  absl::Span<const TensorRow> layer_rows = {};
  // A tensor may have its old name instead.
  absl::Span<const OldName> old_names = {};
  // Weights lie as [out, in], as PyTorch has them; otherwise as [in, out].
  bool is_transposed = true;
};

// All that are read.
absl::Span<const Family* const> Families();

// The words of which tables are made.
namespace families {
using enum Size;
using enum Role;
using enum Presence;
}  // namespace families

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_FAMILY_H_
