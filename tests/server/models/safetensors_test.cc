#include "server/models/safetensors.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "tests/server/models/safetensors_file.h"

namespace attention::engine {
namespace {

// A file of three tensors, as PyTorch's writer would lay it out.
const std::string kHeader = R"({"__metadata__":{"format":"pt"},)"
                            R"("bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                            R"("ids":{"dtype":"I64","shape":[1,2],"data_offsets":[8,24]},)"
                            R"("weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[24,36]}}  )";
const std::string kData(36, 'x');

TEST(Safetensors, ReadsNamesTypesShapesAndBytesInPlace) {
  const std::vector<std::byte> bytes = SafetensorsFile(kHeader, kData);
  const absl::StatusOr<Safetensors> file = Safetensors::Parse(bytes);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors.size(), 3u);
  const StoredTensor& weight = file->tensors.at("weight");
  EXPECT_EQ(weight.data_type, DataType::kBfloat16);
  EXPECT_EQ(weight.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(weight.count(), 6);
  EXPECT_EQ(weight.data.data(), bytes.data() + bytes.size() - 12);
  EXPECT_EQ(weight.data.size(), 12u);
  EXPECT_EQ(file->tensors.at("ids").data_type, std::nullopt)
      << "known, but nothing to compute with";
  EXPECT_EQ(file->tensors.at("ids").dtype, "I64");
  EXPECT_EQ(file->metadata.at("format"), "pt");
}

TEST(Safetensors, TensorsMayStandInAnyOrderBeEmptyOrHaveNoAxis) {
  const auto bytes = SafetensorsFile(R"({"b":{"data_offsets":[4,8],"dtype":"F32","shape":[]},)"
                                     R"("none":{"dtype":"F64","shape":[0,5],"data_offsets":[4,4]},)"
                                     R"("a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]}})",
                                     "12345678");
  const absl::StatusOr<Safetensors> file = Safetensors::Parse(bytes);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors.at("b").count(), 1);
  EXPECT_EQ(file->tensors.at("none").count(), 0);
}

struct Damage {
  const char* name;
  std::string header;
  std::string data;
  std::string error;
};

std::string One(const std::string& members) { return absl::StrCat(R"({"w":{)", members, "}}"); }

const Damage kDamages[] = {
    {"NoObject", "[1]", "", "the header is a list; want an object"},
    {"NoJson", "{\"w\":", "", "the header is no JSON: look at byte 6"},
    {"TensorIsNumber", R"({"w":1})", "", "tensor \"w\" is a number; want an object"},
    {"NoDtype", One(R"("shape":[1],"data_offsets":[0,4])"), "1234", "tensor \"w\" has no dtype"},
    {"NoShape", One(R"("dtype":"F32","data_offsets":[0,4])"), "1234", "tensor \"w\" has no shape"},
    {"NoOffsets", One(R"("dtype":"F32","shape":[1])"), "1234", "has no data_offsets"},
    {"UnknownDtype", One(R"("dtype":"F31","shape":[1],"data_offsets":[0,4])"), "1234",
     "has an unknown dtype \"F31\""},
    {"UnknownMember", One(R"("dtype":"F32","color":1)"), "", "has a member \"color\"; want dtype"},
    {"NegativeLength", One(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "1234",
     "has a negative number in shape; want whole numbers from 0"},
    {"NestedShape", One(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), "1234",
     "has a list in shape"},
    {"ManyAxes", One(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), "1234",
     "more than 8 numbers"},
    {"HugeShape", One(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])"),
     "1234", "has 4 bytes; want more = 4 * product of shape [4294967296, 4294967296]"},
    {"ShapeOverflowsToFit",
     One(R"("dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4])"), "1234",
     "want more = 4 * product"},
    {"WrongSize", One(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), "1234",
     "tensor \"w\" has 4 bytes; want 8 = 4 * product of shape [2]"},
    {"BeyondTheEnd", One(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), "1234",
     "has data_offsets [0, 8]; want [begin, end] within the 4 bytes of data"},
    {"Backwards", One(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), "1234",
     "has data_offsets [4, 0]"},
    {"OffsetsOver63Bits",
     One(R"("dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775808])"), "1234",
     "has a number over 2^63 - 1 in data_offsets"},
    {"ThreeOffsets", One(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])"), "1234",
     "has data_offsets [0, 4, 4]"},
    {"Overlap",
     R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
     R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
     "12345678", "tensors \"a\" and \"b\" overlap"},
    {"Hole", One(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "12345678",
     "the 4 bytes before tensor \"w\" belong to no tensor"},
    {"Rest", One(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "12345678",
     "the last 4 bytes belong to no tensor"},
    {"TensorTwice", R"({"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"w":{}})", "",
     "tensor \"w\" stands twice"},
    {"MemberTwice", One(R"("dtype":"F32","dtype":"F32")"), "", "has dtype twice"},
    {"MetadataTwice", R"({"__metadata__":{},"__metadata__":{}})", "", "it has __metadata__ twice"},
    {"MetadataIsNoText", R"({"__metadata__":{"a":1}})", "",
     "metadata \"a\" is a number; want a text"},
    {"NameOfControlBytes", "{\"\\u001b[31m\":1}", "", "tensor \"\\033[31m\" is a number"},
};

class DamagedSafetensors : public testing::TestWithParam<Damage> {};

TEST_P(DamagedSafetensors, AreRefusedWithWhatIsWrong) {
  const Damage& damage = GetParam();
  const std::vector<std::byte> bytes = SafetensorsFile(damage.header, damage.data);
  const absl::Status status = Safetensors::Parse(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find(damage.error), std::string::npos) << status;
}

INSTANTIATE_TEST_SUITE_P(All, DamagedSafetensors, testing::ValuesIn(kDamages),
                         [](const auto& test) { return test.param.name; });

TEST(Safetensors, AHeaderLongerThanTheFileOrThanAnyModelsIsNotRead) {
  std::vector<std::byte> bytes = SafetensorsFile(kHeader, kData);
  for (const size_t size : {size_t{0}, size_t{7}, size_t{8}, size_t{20}, bytes.size() - 1}) {
    EXPECT_FALSE(Safetensors::Parse(absl::MakeSpan(bytes).first(size)).ok()) << size;
  }
  EXPECT_EQ(Safetensors::Parse(absl::MakeSpan(bytes).first(8)).status().message(),
            "safetensors: the file has 8 bytes; want at least 10, the length of a header and {}");
  std::fill_n(bytes.begin(), 8, std::byte{0xFF});
  const absl::Status status = Safetensors::Parse(bytes).status();
  EXPECT_NE(status.message().find("the header has 18446744073709551615 bytes; want at most "),
            std::string::npos)
      << status;
}

// What torch.save wrote once was told to have a header of 578721652166557776 bytes.
TEST(Safetensors, APyTorchCheckpointSaysHowItBecomesASafetensorsFile) {
  for (const std::string& start :
       {std::string("PK\3\4\0\0\10\10", 8), std::string("\x80\2\x8a\nl\xfc\x9c"
                                                        "F",
                                                        8)}) {
    const std::string text = start + std::string(100, 'x');
    const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
    const std::string problem(Safetensors::Parse({bytes, text.size()}).status().message());
    EXPECT_NE(problem.find("the file is a PyTorch checkpoint; make a safetensors file of it"),
              std::string::npos)
        << problem;
    EXPECT_NE(problem.find("torch.load('pytorch_model.bin'"), std::string::npos) << problem;
  }
}

// Whatever befalls a file on its way, it is read or refused, and never more than that.
TEST(Safetensors, TenThousandMutationsAreReadOrRefused) {
  const std::vector<std::byte> bytes = SafetensorsFile(kHeader, kData);
  std::mt19937 random(1);
  int refused = 0;
  unsigned sum = 0;  // of all that may be read
  for (int i = 0; i < 10000; ++i) {
    std::vector<std::byte> mutated = bytes;
    for (unsigned j = 0; j <= random() % 3; ++j) {
      mutated[random() % mutated.size()] = static_cast<std::byte>(random());
    }
    if (random() % 4 == 0) mutated.resize(random() % mutated.size());
    const absl::StatusOr<Safetensors> file = Safetensors::Parse(mutated);
    if (!file.ok()) {
      EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_FALSE(file.status().message().empty());
      ++refused;
      continue;
    }
    for (const auto& named : file->tensors) {
      for (const std::byte byte : named.second.data) sum += std::to_integer<unsigned>(byte);
    }
  }
  EXPECT_GT(refused, 5000);
  EXPECT_GT(sum, 0u);
}

}  // namespace
}  // namespace attention::engine
