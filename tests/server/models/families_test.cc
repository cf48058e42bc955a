// A family of models is a table and nothing else: one that is made up here, with names and a layout
// of its own, is read like those that the server has.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "kernels/encoder/encoder_op.h"
#include "nlohmann/json.hpp"
#include "server/models/families/bert.h"
#include "server/models/family.h"
#include "server/models/read_model.h"
#include "tests/server/models/safetensors_file.h"

namespace attention::engine {

// What BERT computes, in other words: the projections of a layer lie in one tensor, its position in
// the network stands in the middle of names, and config.json calls everything otherwise.
namespace families {

inline constexpr const char* kInventedNames[] = {"invented"};

inline constexpr MemberRow kInventedMembers[] = {
    {"heads", Setting::kNumHeads, /*is_required=*/true},
    {"depth", Setting::kNumLayers, /*is_required=*/true},
    {"width", Setting::kDModel},
    {"act", Setting::kHiddenAct},
};

inline constexpr const char* kInventedPrefixes[] = {"", "net."};

inline constexpr TensorRow kInventedRows[] = {
    {"words", kTokenTable, {kVocabulary, kDModel}}, {"places", kPositionTable, {kPlaces, kDModel}},
    {"kinds", kTypeTable, {kTypes, kDModel}},       {"norm.scale", kEmbeddingGamma, {kDModel}},
    {"norm.shift", kEmbeddingBeta, {kDModel}},
};

inline constexpr TensorRow kInventedLayerRows[] = {
    {"mix.qkv.w", kQkvWeight, {3 * kDModel, kDModel}},
    {"mix.qkv.b", kQkvBias, {3 * kDModel}},
    {"mix.out.w", kOutputWeight, {kDModel, kDModel}},
    {"mix.out.b", kOutputBias, {kDModel}},
    {"mix.norm.scale", kAttentionGamma, {kDModel}},
    {"mix.norm.shift", kAttentionBeta, {kDModel}},
    {"wide.in.w", kUpWeight, {kFfnDim, kDModel}},
    {"wide.in.b", kUpBias, {kFfnDim}},
    {"wide.out.w", kDownWeight, {kDModel, kFfnDim}},
    {"wide.out.b", kDownBias, {kDModel}},
    {"wide.norm.scale", kFfnGamma, {kDModel}},
    {"wide.norm.shift", kFfnBeta, {kDModel}},
};

inline constexpr Family kInvented = {
    .names = kInventedNames,
    .config_kind = ConfigKind::kModelType,
    .members = kInventedMembers,
    .defaults = {.block = {.norm_position = NormPosition::kBehind, .activation = Activation::kRelu},
                 .layer_norm_eps = 1e-12,
                 .positions = PositionKind::kLearned},
    .prefixes = kInventedPrefixes,
    .rows = kInventedRows,
    .layer_prefix = "stack.{layer}.block.",
    .layer_rows = kInventedLayerRows,
};

}  // namespace families

namespace {

constexpr int64_t kTokenWidth = 16, kWideWidth = 24, kLayerCount = 2;

constexpr char kInventedConfig[] =
    R"({"model_type": "invented", "heads": 2, "depth": 2, "width": 16, "act": "gelu"})";
constexpr char kBertConfig[] =
    R"({"model_type": "bert", "num_attention_heads": 2, "num_hidden_layers": 2})";

int64_t LengthOf(const Axis& axis) {
  switch (axis.size) {
    case Size::kNone:
      return 1;
    case Size::kDModel:
      return axis.copies * kTokenWidth;
    case Size::kFfnDim:
      return kWideWidth;
    default:
      return 9;
  }
}

// The same for the same role in the same layer, whatever the family.
std::vector<float> Numbers(Role role, int64_t layer, int64_t count) {
  std::vector<Role> parts = {role};
  if (role == Role::kQkvWeight) parts = {Role::kQueryWeight, Role::kKeyWeight, Role::kValueWeight};
  if (role == Role::kQkvBias) parts = {Role::kQueryBias, Role::kKeyBias, Role::kValueBias};
  std::vector<float> numbers;
  for (const Role part : parts) {
    std::minstd_rand generator(1 + static_cast<unsigned>(part) + 1000 * layer);
    std::uniform_real_distribution<float> distribution(-1, 1);
    const size_t end = numbers.size() + count / parts.size();
    while (numbers.size() < end) numbers.push_back(distribution(generator));
  }
  return numbers;
}

// A file of a family's tensors, as text of its header and its data.
struct ModelFile {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::string data;

  ModelFile(const Family& family, const std::string& prefix) {
    Add(family.rows, prefix, -1);
    for (int64_t i = 0; i < kLayerCount; ++i) {
      const std::string layer =
          absl::StrReplaceAll(family.layer_prefix, {{"{layer}", absl::StrCat(i)}});
      Add(family.layer_rows, prefix + layer, i);
    }
  }

  void Add(absl::Span<const TensorRow> rows, const std::string& prefix, int64_t layer) {
    for (const TensorRow& row : rows) {
      std::vector<int64_t> shape = {LengthOf(row.shape[0])};
      if (!row.is_vector()) shape.push_back(LengthOf(row.shape[1]));
      const auto numbers =
          Numbers(row.role, layer, LengthOf(row.shape[0]) * LengthOf(row.shape[1]));
      const size_t begin = data.size();
      data.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
      header[prefix + row.name] = {
          {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
    }
  }

  std::vector<std::byte> Bytes() const { return SafetensorsFile(header.dump(), data); }
};

// A model with all that it refers to.
struct Loaded {
  std::vector<std::byte> file;
  FloatVectors vectors;
  absl::StatusOr<LayerModel> model;

  Loaded(const Family& family, const char* config, std::vector<std::byte> bytes)
      : file(std::move(bytes)) {
    const Family* const families[] = {&family};
    const auto parsed = LayerConfig::Parse(config, families);
    const auto tensors = Safetensors::Parse(file);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_TRUE(tensors.ok()) << tensors.status();
    model = ReadModel(*tensors, *parsed, vectors);
  }
};

std::vector<float> HiddenStates(const EncoderModel& model) {
  Executor executor(1);
  const std::vector<int64_t> ids = {1, 8, 0, 2, 3}, positions = {0, 1, 2, 3, 4}, lens = {5};
  std::vector<float> x(ids.size() * kTokenWidth);
  EXPECT_TRUE(
      Embed(model.embedding, {.ids = ids, .positions = positions, .types = {}}, x.data(), executor)
          .ok());
  EncoderBatch batch;
  batch.lens = lens;
  batch.x = x.data();
  const auto op = EncoderOp::Create({.shape = model.shape});
  EXPECT_TRUE(op.ok()) << op.status();
  EXPECT_TRUE(op->Run(model.layers, nullptr, batch, executor).ok());
  return x;
}

TEST(Families, GiveTheSameBytesForTheSameWeightsUnderOtherNames) {
  const Loaded bert(families::kBert, kBertConfig, ModelFile(families::kBert, "bert.").Bytes());
  ASSERT_TRUE(bert.model.ok()) << bert.model.status();
  const std::vector<float> want = HiddenStates(std::get<EncoderModel>(*bert.model));
  for (const char* const prefix : {"", "net."}) {
    const Loaded invented(families::kInvented, kInventedConfig,
                          ModelFile(families::kInvented, prefix).Bytes());
    ASSERT_TRUE(invented.model.ok()) << invented.model.status();
    const std::vector<float> got = HiddenStates(std::get<EncoderModel>(*invented.model));
    EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0);
  }
}

TEST(Families, SayByTheirTableWhatIsWrong) {
  const auto refusal = [](const std::string& from, const std::string& to) {
    ModelFile file(families::kInvented, "net.");
    const std::string header = absl::StrReplaceAll(file.header.dump(), {{from, to}});
    EXPECT_NE(header, file.header.dump()) << from;
    const Loaded loaded(families::kInvented, kInventedConfig, SafetensorsFile(header, file.data));
    return std::string(loaded.model.status().message());
  };
  EXPECT_EQ(refusal("net.stack.1.block.mix.qkv.b", "x"),
            "tensor \"net.stack.1.block.mix.qkv.b\" is missing");
  EXPECT_EQ(refusal("[48,16]", "[16,48]"),
            "tensor \"net.stack.0.block.mix.qkv.w\" has shape [16, 48]; want [48, 16]");
  EXPECT_EQ(refusal("[24,16]", "[12,32]"),
            "tensor \"net.stack.0.block.wide.in.w\" has shape [12, 32]; want [at least 1, 16]");
  EXPECT_EQ(refusal("[9,16]", "[16,9]"),
            "tensor \"net.words\" has shape [16, 9]; want [at least 1, 16]");
  const auto config_refusal = [](const char* config) {
    const Family* const families[] = {&families::kInvented};
    return std::string(LayerConfig::Parse(config, families).status().message());
  };
  EXPECT_EQ(config_refusal(R"({"model_type": "invented", "depth": 2})"),
            "config: heads is missing");
  EXPECT_EQ(config_refusal(R"({"model_type": "invented", "heads": 2, "depth": 0})"),
            "config: depth is \"0\"; want a whole number from 1 to 16777216");
}

bool HasRole(absl::Span<const TensorRow> rows, Role role) {
  return absl::c_any_of(rows, [&](const TensorRow& row) { return row.role == role; });
}

bool IsVector(Role role) {
  constexpr Role kOfTwoAxes[] = {Role::kTokenTable,  Role::kPositionTable, Role::kTypeTable,
                                 Role::kQueryWeight, Role::kKeyWeight,     Role::kValueWeight,
                                 Role::kQkvWeight,   Role::kOutputWeight,  Role::kUpWeight,
                                 Role::kDownWeight};
  return !absl::c_linear_search(kOfTwoAxes, role);
}

// What the reader relies on.
TEST(Families, AreWhole) {
  std::set<std::string> names;
  for (const Family* const family : Families()) {
    ASSERT_FALSE(family->names.empty());
    for (const char* const name : family->names) EXPECT_TRUE(names.insert(name).second) << name;
    const bool is_encoder = family->model_kind == ModelKind::kEncoder;
    const auto rows = is_encoder ? family->layer_rows : family->rows;
    std::vector<Role> roles;
    if (is_encoder) {
      roles = {Role::kOutputWeight, Role::kUpWeight, Role::kDownWeight, Role::kAttentionGamma,
               Role::kFfnGamma};
    }
    if (HasRole(rows, Role::kQkvWeight)) {
      EXPECT_TRUE(family->is_transposed) << family->names[0];
    } else {
      roles.insert(roles.end(), {Role::kQueryWeight, Role::kKeyWeight, Role::kValueWeight});
    }
    for (const Role role : roles) {
      EXPECT_TRUE(HasRole(rows, role)) << family->names[0] << " " << static_cast<int>(role);
    }
    for (const auto list : {family->rows, family->layer_rows}) {
      for (const TensorRow& row : list) EXPECT_EQ(row.is_vector(), IsVector(row.role)) << row.name;
    }
    EXPECT_TRUE(family->prefixes.empty() || !family->rows.empty()) << family->names[0];
  }
}

}  // namespace
}  // namespace attention::engine
