#include "server/models/layer_config.h"

#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"
#include "server/json/json_text.h"
#include "server/json/quoted.h"
#include "server/models/family.h"

namespace attention::engine {
namespace {

using Json = nlohmann::json;

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

// The families that are known by "format", or those by "model_type".
std::string Names(absl::Span<const Family* const> families, ConfigKind kind) {
  std::vector<absl::string_view> names;
  for (const Family* const family : families) {
    if (family->config_kind != kind) continue;
    names.insert(names.end(), family->names.begin(), family->names.end());
  }
  return absl::StrJoin(names, ", ", [](std::string* out, absl::string_view name) {
    absl::StrAppend(out, "\"", name, "\"");
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

  bool Has(const char* name) const { return object_.contains(name) && !object_[name].is_null(); }

  void Integer(const char* name, int64_t least, int64_t most, int64_t& to) {
    if (!Has(name)) return;
    const Json& value = object_[name];
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t(most)) &&
                      value.get<int64_t>() >= least && value.get<int64_t>() <= most;
    if (!fits) return Refuse(name, absl::StrCat("a whole number from ", least, " to ", most));
    to = value.get<int64_t>();
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

  // That each member is among `rows`, or names the format.
  void RefuseOthers(absl::Span<const MemberRow> rows, absl::string_view format) {
    std::set<absl::string_view> known = {"format"};
    for (const MemberRow& row : rows) known.insert(row.name);
    for (const auto& [name, value] : object_.items()) {
      if (known.count(name) == 0) {
        Fail(absl::StrCat("it has a member ", Quoted(name), "; format \"", format, "\" has ",
                          absl::StrJoin(known, ", ")));
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
  absl::Status status_;
};

struct WholeNumber {
  Setting setting;
  int64_t LayerConfig::*to;
  int64_t least, most;
};
constexpr WholeNumber kWholeNumbers[] = {
    {Setting::kNumHeads, &LayerConfig::num_heads, 1, kMostHeads},
    {Setting::kNumKvHeads, &LayerConfig::num_kv_heads, 1, kMostHeads},
    {Setting::kNumLayers, &LayerConfig::num_layers, 1, kMostTokens},
    {Setting::kDModel, &LayerConfig::d_model, 1, kMostTokens},
    {Setting::kFfnDim, &LayerConfig::ffn_dim, 1, kMostTokens},
    {Setting::kMaxLen, &LayerConfig::max_len, 1, kMostTokens},
    {Setting::kPaddingId, &LayerConfig::padding_id, 0, kMostTokens},
};

void ReadMember(const MemberRow& row, Members& members, LayerConfig& config) {
  const char* const name = row.name;
  for (const WholeNumber& number : kWholeNumbers) {
    if (number.setting != row.setting) continue;
    members.Integer(name, number.least, number.most, config.*number.to);
  }
  BlockDescription& block = config.block;
  bool norm_first = block.norm_position == NormPosition::kBefore, is_decoder = false;
  switch (row.setting) {
    case Setting::kAddZeroAttn:
      members.Truth(name, config.add_zero_attn);
      break;
    case Setting::kNormFirst:
      members.Truth(name, norm_first);
      block.norm_position = norm_first ? NormPosition::kBefore : NormPosition::kBehind;
      break;
    case Setting::kActivation:
      members.Choice(name, Choices<Activation>(kActivations), block.activation);
      break;
    case Setting::kHiddenAct:
      members.Choice(name, Choices<Activation>(kHiddenActs), block.activation);
      break;
    case Setting::kPositions:
      members.Choice(name, Choices<PositionKind>(kPositions), config.positions);
      break;
    case Setting::kPositionType:
      members.Choice(name, Choices<PositionKind>(kPositionTypes), config.positions);
      break;
    case Setting::kLayerNormEps:
      members.Number(name, 1e-30, config.layer_norm_eps);
      break;
    case Setting::kRotaryBase:
      members.Number(name, 1, config.rotary_base);
      break;
    case Setting::kRotaryPairing:
      members.Choice(name, Choices<RotaryPairing>(kPairings), config.rotary_pairing);
      break;
    case Setting::kIsDecoder:
      members.Truth(name, is_decoder);
      if (is_decoder) members.Fail(absl::StrCat(name, " is true; want an encoder"));
      break;
    default:  // a whole number
      break;
  }
}

// What members say together.
void Complete(Members& members, LayerConfig& config) {
  if (config.num_kv_heads == 0) config.num_kv_heads = config.num_heads;
  if (config.num_heads % config.num_kv_heads != 0) {
    members.Fail(absl::StrCat("num_kv_heads is ", config.num_kv_heads,
                              "; want a divisor of num_heads = ", config.num_heads));
  }
  if (config.positions == PositionKind::kSinusoidal && config.max_len == 0) {
    members.Fail("max_len is missing; want it with sinusoidal positions");
  }
}

// Whether "format" or, in an object that has none, "model_type" names the family.
bool IsNamed(const Json& object, const Members& members, const Family& family) {
  const bool has_format = members.Has("format");
  if (has_format != (family.config_kind == ConfigKind::kFormat)) return false;
  const char* const member = has_format ? "format" : "model_type";
  return members.Has(member) &&
         absl::c_any_of(family.names, [&](const char* name) { return object[member] == name; });
}

absl::StatusOr<LayerConfig> ReadMembers(Members& members, const Family& family) {
  LayerConfig config = family.defaults;
  config.family = &family;
  for (const MemberRow& row : family.members) {
    if (row.is_required && !members.Has(row.name)) {
      members.Fail(absl::StrCat(row.name, " is missing"));
    }
    ReadMember(row, members, config);
  }
  Complete(members, config);
  if (family.config_kind == ConfigKind::kFormat) {
    members.RefuseOthers(family.members, family.names[0]);
  }
  if (!members.status().ok()) return members.status();
  return config;
}

absl::Status NamesNoFamily(const Json& object, const Members& members,
                           absl::Span<const Family* const> families) {
  const char* const named = members.Has("format")       ? "format"
                            : members.Has("model_type") ? "model_type"
                                                        : nullptr;
  return absl::InvalidArgumentError(
      absl::StrCat("config: ",
                   named == nullptr ? "it names no format"
                                    : absl::StrCat("its ", named, " is ", Shown(object[named])),
                   "; want \"format\", one of ", Names(families, ConfigKind::kFormat),
                   ", or a Hugging Face model's \"model_type\", one of ",
                   Names(families, ConfigKind::kModelType)));
}

}  // namespace

absl::string_view ActivationName(Activation activation) {
  return NameOf(activation, Choices<Activation>(kActivations));
}

absl::string_view PositionName(PositionKind kind) {
  return NameOf(kind, Choices<PositionKind>(kPositions));
}

absl::StatusOr<LayerConfig> LayerConfig::Parse(absl::string_view json,
                                               absl::Span<const Family* const> families) {
  if (json.size() > kMostBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("config: it has ", json.size(), " bytes; want at most ", kMostBytes));
  }
  const absl::StatusOr<Json> object = ParseJson(json, JsonComments::kRefused);
  if (!object.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("config: it ", object.status().message()));
  }
  if (!object->is_object()) {
    return absl::InvalidArgumentError(
        "config: it is not a JSON object; want one, such as "
        "{\"format\": \"attention\", \"num_heads\": 8}");
  }
  Members members(*object);
  for (const Family* const family : families) {
    if (IsNamed(*object, members, *family)) return ReadMembers(members, *family);
  }
  return NamesNoFamily(*object, members, families);
}

absl::StatusOr<LayerConfig> LayerConfig::Parse(absl::string_view json) {
  return Parse(json, Families());
}

}  // namespace attention::engine
