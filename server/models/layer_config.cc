#include "server/models/layer_config.h"

#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"
#include "server/json/json_text.h"
#include "server/json/quoted.h"

namespace attention::engine {
namespace {

using Json = nlohmann::json;

struct NamedFormat {
  LayerFormat format;
  const char* name;
};
constexpr NamedFormat kFormats[] = {
    {LayerFormat::kAttention, "attention"},
    {LayerFormat::kTorchMultiheadAttention, "torch.nn.MultiheadAttention"},
    {LayerFormat::kTorchEncoderLayer, "torch.nn.TransformerEncoderLayer"},
    {LayerFormat::kTorchEncoder, "torch.nn.TransformerEncoder"},
};
constexpr NamedFormat kModelTypes[] = {
    {LayerFormat::kBert, "bert"},
    {LayerFormat::kRoberta, "roberta"},
    {LayerFormat::kRoberta, "xlm-roberta"},
};

// A name in the file for each of several values.
template <typename Value>
using Choices = absl::Span<const std::pair<const char*, Value>>;

constexpr std::pair<const char*, Activation> kActivations[] = {
    {"relu", Activation::kRelu}, {"gelu", Activation::kGelu}, {"gelu_tanh", Activation::kGeluTanh}};
constexpr std::pair<const char*, PositionKind> kPositions[] = {
    {"none", PositionKind::kNone},
    {"learned", PositionKind::kLearned},
    {"sinusoidal", PositionKind::kSinusoidal},
    {"rotary", PositionKind::kRotary}};
constexpr std::pair<const char*, RotaryPairing> kPairings[] = {
    {"split_half", RotaryPairing::kSplitHalf}, {"interleaved", RotaryPairing::kInterleaved}};
// As Hugging Face has them.
constexpr std::pair<const char*, Activation> kHiddenActs[] = {
    {"gelu", Activation::kGelu},
    {"relu", Activation::kRelu},
    {"gelu_new", Activation::kGeluTanh},
    {"gelu_pytorch_tanh", Activation::kGeluTanh}};
constexpr std::pair<const char*, PositionKind> kPositionTypes[] = {
    {"absolute", PositionKind::kLearned}};

template <typename Value>
absl::string_view NameOf(Value value, Choices<Value> choices) {
  for (const auto& [name, one] : choices) {
    if (one == value) return name;
  }
  return "";
}

constexpr int64_t kMostHeads = 1 << 16;
constexpr int64_t kMostTokens = 1 << 24;

std::string Names(absl::Span<const NamedFormat> formats) {
  return absl::StrJoin(formats, ", ", [](std::string* out, const NamedFormat& format) {
    absl::StrAppend(out, "\"", format.name, "\"");
  });
}

// A value as a message shows it. Only what is flat is written out: writing goes as deep as the
// value does.
std::string Shown(const Json& value) {
  if (value.is_structured()) return absl::StrCat("an ", value.type_name());
  if (value.is_string()) return Quoted(value.get_ref<const std::string&>());
  return Quoted(value.dump());
}

// Reads members of the object; keeps the first thing that is wrong.
class Members {
 public:
  explicit Members(const Json& object) : object_(object) {}

  bool Has(const char* name) {
    known_.insert(name);
    return object_.contains(name) && !object_[name].is_null();
  }

  void Integer(const char* name, int64_t least, int64_t most, int64_t& to) {
    if (!Has(name)) return;
    const Json& value = object_[name];
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t(most)) &&
                      value.get<int64_t>() >= least && value.get<int64_t>() <= most;
    if (!fits) return Refuse(name, absl::StrCat("a whole number from ", least, " to ", most));
    to = value.get<int64_t>();
  }
  void Integer(const char* name, int64_t least, int64_t most, std::optional<int64_t>& to) {
    if (Has(name)) Integer(name, least, most, to.emplace());
  }

  void Number(const char* name, double least, double& to) {
    if (!Has(name)) return;
    const Json& value = object_[name];
    const bool fits =
        value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() >= least;
    if (!fits) return Refuse(name, absl::StrCat("a finite number, at least ", least));
    to = value.get<double>();
  }

  void Truth(const char* name, bool& to) {
    if (!Has(name)) return;
    if (!object_[name].is_boolean()) return Refuse(name, "true or false");
    to = object_[name].get<bool>();
  }

  template <typename Value, typename To>
  void Choice(const char* name, Choices<Value> choices, To& to) {
    if (!Has(name)) return;
    for (const auto& [text, value] : choices) {
      if (object_[name] == text) {
        to = value;
        return;
      }
    }
    Refuse(name, absl::StrJoin(choices, ", ", [](std::string* out, const auto& choice) {
             absl::StrAppend(out, "\"", choice.first, "\"");
           }));
  }

  void Require(const char* name) {
    if (!Has(name)) Fail(absl::StrCat(name, " is missing"));
  }

  // That each member has been asked for.
  void RefuseOthers(absl::string_view format) {
    for (const auto& [name, value] : object_.items()) {
      if (known_.count(name) == 0) {
        Fail(absl::StrCat("it has a member ", Quoted(name), "; format \"", format, "\" has ",
                          absl::StrJoin(known_, ", ")));
      }
    }
  }

  void Fail(absl::string_view why) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat("config: ", why));
  }
  const absl::Status& status() const { return status_; }

 private:
  void Refuse(const char* name, absl::string_view want) {
    Fail(absl::StrCat(name, " is ", Shown(object_[name]), "; want ", want));
  }

  const Json& object_;
  std::set<std::string> known_;
  absl::Status status_;
};

void ReadTorchEncoder(Members& members, LayerConfig& config) {
  members.Truth("norm_first", config.norm_first);
  members.Choice("activation", Choices<Activation>(kActivations), config.activation);
  double epsilon = config.layer_norm_eps;
  members.Number("layer_norm_eps", 1e-30, epsilon);
  config.layer_norm_eps = static_cast<float>(epsilon);
  members.Choice("positions", Choices<PositionKind>(kPositions), config.positions);
  members.Integer("max_len", 1, kMostTokens, config.max_len);
  members.Number("rotary_base", 1, config.rotary_base);
  members.Choice("rotary_pairing", Choices<RotaryPairing>(kPairings), config.rotary_pairing);
  if (config.positions == PositionKind::kSinusoidal && config.max_len == 0) {
    members.Fail("max_len is missing; want it with sinusoidal positions");
  }
}

void ReadHuggingFace(Members& members, LayerConfig& config) {
  config.activation = Activation::kGelu;
  config.layer_norm_eps = 1e-12f;
  config.positions = PositionKind::kLearned;
  members.Require("num_attention_heads");
  members.Require("num_hidden_layers");
  members.Integer("num_attention_heads", 1, kMostHeads, config.num_heads);
  members.Integer("hidden_size", 1, kMostTokens, config.d_model);
  members.Integer("intermediate_size", 1, kMostTokens, config.ffn_dim);
  members.Integer("num_hidden_layers", 1, kMostTokens, config.num_layers);
  members.Choice("hidden_act", Choices<Activation>(kHiddenActs), config.activation);
  members.Choice("position_embedding_type", Choices<PositionKind>(kPositionTypes),
                 config.positions);
  double epsilon = config.layer_norm_eps;
  members.Number("layer_norm_eps", 1e-30, epsilon);
  config.layer_norm_eps = static_cast<float>(epsilon);
  members.Integer("pad_token_id", 0, kMostTokens, config.padding_id);
  bool is_decoder = false;
  members.Truth("is_decoder", is_decoder);
  if (is_decoder) members.Fail("is_decoder is true; want an encoder");
}

void ReadOwn(Members& members, LayerConfig& config) {
  members.Require("num_heads");
  members.Integer("num_heads", 1, kMostHeads, config.num_heads);
  config.num_kv_heads = config.num_heads;
  switch (config.format) {
    case LayerFormat::kAttention:
      members.Integer("num_kv_heads", 1, kMostHeads, config.num_kv_heads);
      if (config.num_heads % config.num_kv_heads != 0) {
        members.Fail(absl::StrCat("num_kv_heads is ", config.num_kv_heads,
                                  "; want a divisor of num_heads = ", config.num_heads));
      }
      break;
    case LayerFormat::kTorchMultiheadAttention:
      members.Truth("add_zero_attn", config.add_zero_attn);
      break;
    default:
      ReadTorchEncoder(members, config);
  }
  members.RefuseOthers(FormatName(config.format));
}

}  // namespace

absl::string_view FormatName(LayerFormat format) {
  for (const NamedFormat& named : kFormats) {
    if (named.format == format) return named.name;
  }
  return format == LayerFormat::kBert ? "bert" : "roberta";
}

absl::string_view ActivationName(Activation activation) {
  return NameOf(activation, Choices<Activation>(kActivations));
}

absl::string_view PositionName(PositionKind kind) {
  return NameOf(kind, Choices<PositionKind>(kPositions));
}

absl::StatusOr<LayerConfig> LayerConfig::Parse(absl::string_view json) {
  if (json.size() > kMostBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("config: it has ", json.size(), " bytes; want at most ", kMostBytes));
  }
  const absl::StatusOr<Json> parsed = ParseJson(json, JsonComments::kRefused);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("config: it ", parsed.status().message()));
  }
  const Json& object = *parsed;
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        "config: it is not a JSON object; want one, such as "
        "{\"format\": \"attention\", \"num_heads\": 8}");
  }
  Members members(object);
  LayerConfig config;
  const auto name_is = [&](const char* member, const NamedFormat& named) {
    return members.Has(member) && object[member] == named.name;
  };
  for (const NamedFormat& named : kFormats) {
    if (!name_is("format", named)) continue;
    config.format = named.format;
    ReadOwn(members, config);
    return members.status().ok() ? absl::StatusOr<LayerConfig>(config) : members.status();
  }
  for (const NamedFormat& named : kModelTypes) {
    if (members.Has("format") || !name_is("model_type", named)) continue;
    config.format = named.format;
    ReadHuggingFace(members, config);
    return members.status().ok() ? absl::StatusOr<LayerConfig>(config) : members.status();
  }
  const char* const named = members.Has("format")       ? "format"
                            : members.Has("model_type") ? "model_type"
                                                        : nullptr;
  return absl::InvalidArgumentError(
      absl::StrCat("config: ",
                   named == nullptr ? "it names no format"
                                    : absl::StrCat("its ", named, " is ", Shown(object[named])),
                   "; want \"format\", one of ", Names(kFormats),
                   ", or a Hugging Face model's \"model_type\", one of ", Names(kModelTypes)));
}

}  // namespace attention::engine
