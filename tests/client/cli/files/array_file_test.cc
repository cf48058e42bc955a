#include "client/cli/files/array_file.h"

#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "client/cli/files/byte_reader.h"
#include "client/tensor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/temporary_folder.h"

namespace attention::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A .npy file of version 1 with this header.
std::string Npy(const std::string& header, const std::string& data) {
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  return file + header + data;
}

// What a .npy file of these bytes holds.
absl::StatusOr<v1::Tensor> TensorFromNpy(const std::string& npy) {
  const TemporaryFolder folder;
  std::ofstream(folder.File("x.npy"), std::ios::binary) << npy;
  return ReadArray(folder.File("x.npy"));
}

std::string FailureOf(const std::string& npy) {
  const absl::StatusOr<v1::Tensor> tensor = TensorFromNpy(npy);
  EXPECT_EQ(tensor.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(tensor.status().message());
}

class ArrayFileTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) { return folder_.File(name); }
  std::string FailureOf(const std::string& reference) {
    const absl::Status status = ReadArray(reference).status();
    EXPECT_FALSE(status.ok()) << reference;
    return std::string(status.message());
  }

  TemporaryFolder folder_;
  const v1::Tensor floats_ = MakeTensor({2, 3}, {1, 2, 3, 4, 5, 6.5f});
  const v1::Tensor doubles_ = MakeTensor({2}, {0.5f, -2}, v1::DATA_TYPE_FLOAT64);
  const v1::Tensor brains_ = MakeTensor({1, 1, 2}, {3, 4}, v1::DATA_TYPE_BFLOAT16);
  const v1::Tensor mask_ = MakeBoolTensor({2, 1}, {true, false});
};

// Results of a call whose tokens were typed by hand.
TEST_F(ArrayFileTest, WritesNumbersTypedByHandAsBytes) {
  v1::Tensor typed;
  *typed.mutable_shape() = floats_.shape();
  for (const float x : {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.5f}) typed.add_float_values(x);
  for (const char* const name : {"typed.npy", "typed.npz", "typed.safetensors"}) {
    ASSERT_TRUE(WriteArrays(Path(name), {{"a", &typed}}).ok()) << name;
    EXPECT_EQ(ReadArray(Path(name))->SerializeAsString(), floats_.SerializeAsString()) << name;
  }
}

TEST_F(ArrayFileTest, ReadsWhatItWrote) {
  const std::vector<NamedTensor> tensors = {
      {"a", &floats_}, {"b.c", &doubles_}, {"brains", &brains_}, {"mask", &mask_}};
  for (const char* const ending : {".npz", ".safetensors"}) {
    const std::string path = Path(std::string("all") + ending);
    ASSERT_TRUE(WriteArrays(path, tensors).ok());
    EXPECT_EQ(ReadArray(path + ":a")->SerializeAsString(), floats_.SerializeAsString());
    EXPECT_EQ(ReadArray(path + ":b.c")->SerializeAsString(), doubles_.SerializeAsString());
    EXPECT_EQ(ReadArray(path + ":mask")->SerializeAsString(), mask_.SerializeAsString());
    EXPECT_THAT(*FloatValues(*ReadArray(path + ":brains")), ElementsAre(3, 4));
  }
  const std::string npy = Path("one.npy");
  ASSERT_TRUE(WriteArrays(npy, {{"whatever", &floats_}}).ok());
  EXPECT_EQ(ReadArray(npy)->SerializeAsString(), floats_.SerializeAsString());
}

TEST_F(ArrayFileTest, TakesTheOnlyArrayWithoutItsName) {
  for (const char* const name : {"one.npz", "one.safetensors"}) {
    ASSERT_TRUE(WriteArrays(Path(name), {{"tokens", &floats_}}).ok());
    EXPECT_TRUE(ReadArray(Path(name)).ok()) << name;
    EXPECT_THAT(FailureOf(Path(name) + ":x"), HasSubstr("holds no \"x\"; there are tokens"));
    ASSERT_TRUE(WriteArrays(Path(name), {{"tokens", &floats_}, {"keys", &floats_}}).ok());
    EXPECT_THAT(FailureOf(Path(name)), HasSubstr("several arrays; say which"));
  }
}

TEST_F(ArrayFileTest, SaysWhatIsWrongWithAFile) {
  std::ofstream(Path("text.npz")) << "no archive";
  std::ofstream(Path("text.safetensors")) << "no tensors, but more than 8 bytes";
  std::ofstream(Path("short.safetensors")) << "short";
  EXPECT_THAT(FailureOf(Path("text.npz")), HasSubstr("no .npz file"));
  EXPECT_THAT(FailureOf(Path("text.safetensors")), HasSubstr("no safetensors file"));
  EXPECT_THAT(FailureOf(Path("short.safetensors")), HasSubstr("ends before its header"));
  for (const char* const name : {"no.npy", "no.npz", "no.safetensors"}) {
    EXPECT_EQ(ReadArray(Path(name)).status().code(), absl::StatusCode::kNotFound) << name;
  }
  EXPECT_THAT(FailureOf("tokens.txt"), HasSubstr("want a name that ends in .npy"));
  EXPECT_THAT(FailureOf("x.npy:name"), HasSubstr("which has no name"));
  EXPECT_FALSE(WriteArrays(Path("two.npy"), {{"a", &floats_}, {"b", &floats_}}).ok());
  EXPECT_FALSE(WriteArrays(Path("x.txt"), {{"a", &floats_}}).ok());
  EXPECT_FALSE(WriteArrays("/no/such/folder/x.npz", {{"a", &floats_}}).ok());
  EXPECT_FALSE(WriteArrays("/no/such/folder/x.npy", {{"a", &floats_}}).ok());
}

constexpr const char* kEndings[] = {".npy", ".npz", ".safetensors"};

// A pipe would wait for somebody who writes to it.
TEST_F(ArrayFileTest, TakesFilesOnDiskAlone) {
  for (const char* const ending : kEndings) {
    const std::string pipe = Path(std::string("pipe") + ending);
    const std::string folder = Path(std::string("folder") + ending);
    const std::string device = Path(std::string("device") + ending);
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    std::filesystem::create_directory(folder);
    std::filesystem::create_symlink("/dev/zero", device);
    EXPECT_THAT(FailureOf(pipe), HasSubstr("it is a pipe or a device")) << ending;
    EXPECT_THAT(FailureOf(device), HasSubstr("it is a pipe or a device")) << ending;
    EXPECT_THAT(FailureOf(folder), HasSubstr("it is a folder")) << ending;
  }
}

TEST_F(ArrayFileTest, RefusesAFileThatIsCutOffAnywhere) {
  for (const char* const ending : kEndings) {
    const std::string path = Path(std::string("whole") + ending);
    ASSERT_TRUE(WriteArrays(path, {{"a", &floats_}}).ok());
    for (auto bytes = std::filesystem::file_size(path); bytes-- > 0;) {
      std::filesystem::resize_file(path, bytes);
      EXPECT_FALSE(ReadArray(path).ok()) << ending << " of " << bytes << " bytes";
    }
  }
}

TEST_F(ArrayFileTest, RefusesAnArrayThatTheMessageHasNoRoomFor) {
  constexpr uint64_t kBytes = 6 * sizeof(float);  // of floats_
  for (const char* const ending : kEndings) {
    const std::string path = Path(std::string("large") + ending);
    ASSERT_TRUE(WriteArrays(path, {{"a", &floats_}}).ok());
    EXPECT_TRUE(ReadArray(path, kBytes).ok()) << ending;
    EXPECT_THAT(std::string(ReadArray(path, kBytes - 1).status().message()),
                AllOf(HasSubstr("it has 24 bytes, and the message room for 23"),
                      HasSubstr("--max_message_mib")));
  }
}

// Its numbers are converted in blocks of 16384, and an archive reads them in blocks of its own.
TEST_F(ArrayFileTest, WidensALongArrayOfBfloat16) {
  std::vector<float> numbers(40'001);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 251);
  const v1::Tensor brains =
      MakeTensor({static_cast<int64_t>(numbers.size())}, numbers, v1::DATA_TYPE_BFLOAT16);
  for (const char* const name : {"long.npy", "long.npz"}) {
    ASSERT_TRUE(WriteArrays(Path(name), {{"brains", &brains}}).ok());
    const auto read = ReadArray(Path(name));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->data_type(), v1::DATA_TYPE_FLOAT32);
    EXPECT_EQ(*FloatValues(*read), numbers) << name;
  }
}

// Half of what was read would be old and half new.
TEST_F(ArrayFileTest, NoticesAFileThatIsWrittenToWhileItIsRead) {
  const std::string path = Path("x.npy");
  std::ofstream(path) << "12345678";
  const auto longer = FileReader::Open(path);
  ASSERT_TRUE(longer.ok()) << longer.status();
  EXPECT_TRUE((*longer)->CheckUnchanged().ok());
  std::ofstream(path, std::ios::app) << "9";
  EXPECT_THAT(std::string((*longer)->CheckUnchanged().message()), HasSubstr("changed while"));

  const auto shorter = FileReader::Open(path);
  std::filesystem::resize_file(path, 4);
  std::string bytes((*shorter)->size(), '\0');
  EXPECT_THAT(std::string((*shorter)->Read(bytes.data(), bytes.size()).message()),
              HasSubstr("it ends early, after 4 bytes"));
}

TEST_F(ArrayFileTest, SaysThatAFileCannotBeWritten) {
  for (const char* const ending : {".npy", ".safetensors"}) {
    const std::string full = Path(std::string("full") + ending);
    std::filesystem::create_symlink("/dev/full", full);
    EXPECT_THAT(std::string(WriteArrays(full, {{"a", &floats_}}).message()),
                HasSubstr("No space left"))
        << ending;
  }
}

TEST_F(ArrayFileTest, NoticesDamageInAnArchive) {
  const std::string path = Path("x.npz");
  ASSERT_TRUE(WriteArrays(path, {{"a", &floats_}}).ok());
  std::string bytes(std::filesystem::file_size(path), '\0');
  std::ifstream(path, std::ios::binary)
      .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::string flipped = bytes;
  flipped[flipped.find("NUMPY") + 130] ^= 1;  // among the numbers
  std::ofstream(path, std::ios::binary) << flipped;
  EXPECT_THAT(FailureOf(path), HasSubstr("CRC error"));
  // The size of what is unpacked, in the central directory (APPNOTE.TXT 4.3.12).
  std::string lying = bytes;
  lying[lying.find("PK\x01\x02") + 24 + 3] = 0x7f;
  std::ofstream(path, std::ios::binary) << lying;
  EXPECT_THAT(FailureOf(path), HasSubstr("cannot have as many bytes"));
  ASSERT_TRUE(WriteArrays(path, {}).ok());
  EXPECT_FALSE(ReadArray(path).ok());
}

// Offsets that lie beyond the file, or a shape that wants more bytes than there are.
TEST_F(ArrayFileTest, TrustsNoHeaderOfSafetensors) {
  const auto failure = [&](const std::string& header) {
    std::string length(8, '\0');
    length[0] = static_cast<char>(header.size());
    std::ofstream(Path("x.safetensors")) << length << header << "12345678";
    return FailureOf(Path("x.safetensors"));
  };
  EXPECT_THAT(failure(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})"),
              HasSubstr("other bytes than its shape"));
  EXPECT_THAT(failure(R"({"a":{"dtype":"F32","shape":[9],"data_offsets":[0,8]}})"),
              HasSubstr("other bytes than its shape"));
  EXPECT_THAT(failure(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"),
              HasSubstr("other bytes than its shape"));
  EXPECT_THAT(failure(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
              HasSubstr("shape cannot be read"));
  EXPECT_THAT(failure(R"({"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}})"),
              HasSubstr("dtype is I8; want F32, BF16, F16, F64 or BOOL; if these are token ids, "));
  EXPECT_THAT(failure(R"({"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,8]}})"),
              HasSubstr("shape cannot be read"));
  EXPECT_THAT(failure(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.5]}})"),
              HasSubstr("offsets cannot be read"));
  EXPECT_THAT(failure(R"({"a":[]})"), HasSubstr("header cannot be read"));
  EXPECT_THAT(failure(R"([])"), HasSubstr("no JSON object"));
}

TEST(Npy, ReadsNumpysOwnHeaders) {
  const std::string data(8, '\0');
  EXPECT_THAT(
      TensorFromNpy(Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }  \n", data))
          ->shape(),
      ElementsAre(2));
  std::string version_2("\x93NUMPY\x02\x00", 8);
  const std::string header = "{'descr': '<V2', 'fortran_order': False, 'shape': (2, 2), }\n";
  version_2 += std::string({static_cast<char>(header.size()), 0, 0, 0}) + header + data;
  EXPECT_EQ(TensorFromNpy(version_2)->data_type(), v1::DATA_TYPE_BFLOAT16);
}

TEST(Npy, SaysHowToMendWhatItCannotRead) {
  const auto with = [](const std::string& descr, const std::string& order,
                       const std::string& shape) {
    return Npy("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + "}\n",
               std::string(16, '\0'));
  };
  EXPECT_THAT(FailureOf(with("'>f4'", "False", "(4,)")), HasSubstr("dtype is >f4"));
  EXPECT_THAT(FailureOf(with("'|O'", "False", "(4,)")), HasSubstr("dtype is |O"));
  EXPECT_THAT(FailureOf(with("'<i8'", "False", "(2,)")),
              HasSubstr("dtype is <i8; want float32, float64, float16, bfloat16 or bool"));
  EXPECT_THAT(
      FailureOf(with("'<i8'", "False", "(2,)")),
      testing::EndsWith("; if these are token ids, \"token_ids\" of \"encode\" takes them"));
  EXPECT_THAT(FailureOf(with("[('x', '<f4')]", "False", "(4,)")), HasSubstr("none that is simple"));
  EXPECT_THAT(FailureOf(with("'<f4'", "True", "(2, 2)")), HasSubstr("ascontiguousarray"));
  EXPECT_THAT(FailureOf(with("'<f4'", "False", "(5,)")), HasSubstr("16 bytes of data; want 20"));
  EXPECT_THAT(FailureOf(with("'<f4'", "False", "(x,)")), HasSubstr("shape cannot be read"));
  EXPECT_THAT(FailureOf(with("'<f4'", "False", "(4611686018427387904, 4)")), HasSubstr("shape"));
  EXPECT_THAT(FailureOf("PK"), HasSubstr("no .npy file"));
  EXPECT_THAT(FailureOf(std::string("\x93NUMPY\x01\x00\xff\xff", 10)),
              HasSubstr("ends in its header"));
  EXPECT_THAT(FailureOf(std::string("\x93NUMPY\x02\x00\xff\xff", 10)),
              HasSubstr("ends in its header"));
  EXPECT_THAT(FailureOf(std::string("\x93NUMPY\x09\x00\x00\x00\x00\x00", 12)),
              HasSubstr("version is 9"));
}

}  // namespace
}  // namespace attention::client
