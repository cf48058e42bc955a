// A valid checkpoint, damaged in 200 ways: each is told in words, and none is loaded or crashes.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/models/random_layer.h"
#include "server/models/stored_layer.h"
#include "tests/server/models/safetensors_file.h"

namespace attention::engine {
namespace {

// The file of a small encoder and its config.
struct Checkpoint {
  std::string header;
  std::string data;
  std::string config;

  std::string File() const { return SafetensorsText(header, data); }
};

Checkpoint Valid() {
  RandomEncoder encoder;
  encoder.d_model = 8;
  encoder.num_heads = 2;
  encoder.ffn_dim = 16;
  encoder.num_layers = 2;
  encoder.vocabulary = 5;
  encoder.positions = PositionKind::kLearned;
  encoder.max_len = 4;
  RandomLayerSpec spec;
  spec.layer = encoder;
  std::string file;
  EXPECT_TRUE(WriteRandomLayer(spec, [&](absl::Span<const std::byte> bytes) {
                file.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                return absl::OkStatus();
              }).ok());
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  return {file.substr(8, length), file.substr(8 + length), RandomLayerConfig(spec)};
}

absl::Status Load(const std::string& file, const std::string& config) {
  const absl::StatusOr<FileHandle> handle = FileHandle::InMemory();
  EXPECT_TRUE(handle.ok()) << handle.status();
  EXPECT_TRUE(
      WriteAll(*handle, {reinterpret_cast<const std::byte*>(file.data()), file.size()}).ok());
  absl::StatusOr<MappedFile> mapped = MappedFile::Map(*handle);
  EXPECT_TRUE(mapped.ok()) << mapped.status();
  return StoredLayer::Make({"layer", 1}, config, *std::move(mapped)).status();
}

// The n-th place of `from` in the header becomes `to`.
std::string ReplaceNth(const std::string& header, const std::string& from, const std::string& to,
                       size_t n) {
  size_t at = header.find(from);
  for (; n > 0 && at != header.npos; --n) at = header.find(from, at + 1);
  return at == header.npos ? "" : std::string(header).replace(at, from.size(), to);
}

// Damaged files by what was done to them; no two the same.
std::map<std::string, std::string> Damaged(const Checkpoint& valid) {
  std::map<std::string, std::string> files;
  const std::string file = valid.File();
  const auto with_header = [&](const std::string& what, const std::string& header) {
    if (!header.empty()) files[what] = Checkpoint{header, valid.data, ""}.File();
  };
  for (size_t i = 0; i < 40; ++i) {
    const size_t size = file.size() * i / 40;
    files[absl::StrCat("cut to ", size)] = file.substr(0, size);
  }
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{7}, uint64_t{1} << 20, uint64_t{1} << 40, uint64_t{1} << 63,
        ~uint64_t{0}, valid.header.size() - 1, valid.header.size() + file.size()}) {
    std::string damaged = file;
    std::memcpy(damaged.data(), &length, sizeof(length));
    files[absl::StrCat("header of ", length)] = damaged;
  }
  for (size_t n = 0; n < 14; ++n) {
    const std::string at = absl::StrCat(" at ", n);
    const auto replace = [&](const std::string& from, const std::string& to) {
      with_header(absl::StrCat(from, " -> ", to, at), ReplaceNth(valid.header, from, to, n));
    };
    replace("\"F32\"", "\"F33\"");
    replace("\"F32\"", "\"F64\"");
    replace("\"F32\"", "\"I32\"");
    replace("\"dtype\"", "\"type\"");
    replace("\"shape\":[", "\"shape\":[2,");
    replace("\"shape\":[", "\"shape\":[4611686018427387904,4611686018427387904,");
    replace("\"data_offsets\":[", "\"data_offsets\":[1");
    replace("\"data_offsets\":[", "\"data_offsets\":[-");
    replace("weight\"", "wait\"");
    replace("layers.", "layers.9");
    replace("\"shape\":[", "\"shape\":[[");
  }
  with_header("a name twice",
              ReplaceNth(valid.header, "layers.1.norm2.bias", "layers.0.norm2.bias", 0));
  with_header("one more tensor",
              ReplaceNth(valid.header, "{",
                         R"({"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)", 0));
  with_header("another kind", ReplaceNth(valid.header, "{", "[", 0));
  files["more data"] = file + "abcd";
  return files;
}

TEST(DamagedCheckpoint, IsToldInWordsInEachOf200Ways) {
  const Checkpoint valid = Valid();
  ASSERT_TRUE(Load(valid.File(), valid.config).ok());
  const auto files = Damaged(valid);
  EXPECT_GE(files.size(), 200);
  for (const auto& [what, file] : files) {
    const absl::Status status = Load(file, valid.config);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << what << ": " << status;
    EXPECT_GT(status.message().size(), 20) << what << ": " << status;
    EXPECT_LT(status.message().size(), 500) << what << ": " << status;
  }
}

TEST(DamagedConfig, IsToldInWords) {
  const Checkpoint valid = Valid();
  const auto refusal = [&](const std::string& from, const std::string& to) {
    const std::string config = absl::StrReplaceAll(valid.config, {{from, to}});
    EXPECT_NE(config, valid.config) << from;
    return std::string(Load(valid.File(), config).message());
  };
  EXPECT_EQ(refusal("\"num_heads\": 2", "\"num_heads\": 3"),
            "tensor rows are 8 wide; want a multiple of num_heads = 3");
  EXPECT_EQ(refusal("\"num_heads\": 2", "\"num_heads\": 0"),
            "config: num_heads is \"0\"; want a whole number from 1 to 65536");
  EXPECT_EQ(refusal("\"num_heads\": 2", "\"num_heads\": 2.5"),
            "config: num_heads is \"2.5\"; want a whole number from 1 to 65536");
  EXPECT_EQ(refusal("\"num_heads\": 2", "\"num_heads\": 99999999999999999999"),
            "config: num_heads is \"1e+20\"; want a whole number from 1 to 65536");
  EXPECT_EQ(refusal("\"relu\"", "\"swish\""),
            "config: activation is \"swish\"; want \"relu\", \"gelu\", \"gelu_tanh\"");
  EXPECT_EQ(refusal("\"norm_first\": false", "\"norm_first\": 0"),
            "config: norm_first is \"0\"; want true or false");
  EXPECT_EQ(refusal("\"learned\"", "\"sinusoidal\""),
            "tensor \"position_embedding.weight\" is none of this format's");
}

// Bytes that differ anywhere: whatever comes of it, it is a status.
TEST(DamagedCheckpoint, NeverCrashesWhateverBytesChange) {
  const Checkpoint valid = Valid();
  std::mt19937 generator(5);
  for (int round = 0; round < 3000; ++round) {
    std::string file = valid.File(), config = valid.config;
    const size_t front = 8 + valid.header.size();
    for (int i = 0; i < 1 + round % 3; ++i)
      file[generator() % front] = static_cast<char>(generator());
    if (round % 2 == 0) config[generator() % config.size()] = static_cast<char>(generator());
    Load(file, config).IgnoreError();
  }
}

}  // namespace
}  // namespace attention::engine
