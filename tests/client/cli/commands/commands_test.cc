#include "client/cli/commands/commands.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/files/array_file.h"
#include "client/tensor.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"
#include "tests/temporary_folder.h"

namespace attention::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

grpc::Status AnswerWithWeights(const v1::ComputeAttentionRequest&,
                               v1::ComputeAttentionResponse& response) {
  *response.mutable_attention_weights() = MakeTensor({1, 1, 2, 2}, {0.25f, 0.75f, 0.5f, 0.5f});
  return grpc::Status::OK;
}

// Runs commands against a fake server and keeps what they print.
class CommandsTest : public testing::Test {
 protected:
  using Command = ExitCode(const CommandOptions&, std::ostream&, std::ostream&);

  CommandsTest() {
    options_.client = {.target = server_.target(), .timeout = absl::Seconds(20)};
    options_.file = folder_.File("attention_commands_test.json");
    Write(R"({"title": "a \u001b title", "words": ["jim", "likes"],
              "request": {"tokens": {"tokens": [[1], [2]]}}})");
  }

  void Write(const std::string& text) { std::ofstream(options_.file) << text; }

  ExitCode Run(Command& command) {
    std::ostringstream out;
    std::ostringstream err;
    const ExitCode exit_code = command(options_, out, err);
    out_ = out.str();
    err_ = err.str();
    return exit_code;
  }

  TemporaryFolder folder_;
  FakeServer::Answer answer_ = AnswerWithWeights;
  FakeServer server_{
      [this](const auto& request, auto& response) { return answer_(request, response); }};
  CommandOptions options_;
  std::string out_;
  std::string err_;
};

TEST_F(CommandsTest, AttendPrintsTables) {
  EXPECT_EQ(Run(RunAttend), kExitOk);
  EXPECT_THAT(out_, StartsWith("a \\u{1b} title\n\nattention_weights [1, 1, 2, 2]"));
  EXPECT_THAT(out_, HasSubstr("  jim  0.2500  0.7500\n"));
  EXPECT_EQ(err_, "");
}

TEST_F(CommandsTest, AttendPrintsTheResponseAsProtobufJson) {
  options_.json = true;
  EXPECT_EQ(Run(RunAttend), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"attention_weights\""));
  v1::ComputeAttentionResponse printed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out_, &printed).ok());
  EXPECT_THAT(*FloatValues(printed.attention_weights()),
              testing::ElementsAre(0.25f, 0.75f, 0.5f, 0.5f));
}

TEST_F(CommandsTest, JsonAsksForNumbersUnlessTheFileWantsBytes) {
  options_.json = true;
  std::vector<v1::ResultFormat> asked;
  const FakeServer::Answer answer = answer_;
  answer_ = [&](const auto& request, auto& response) {
    asked.push_back(request.result_format());
    return answer(request, response);
  };
  EXPECT_EQ(Run(RunAttend), kExitOk);
  options_.file = folder_.File("bytes.json");
  std::ofstream(options_.file)
      << R"({"request": {"result_format": "BYTES", "tokens": {"tokens": [[7]]}}})";
  EXPECT_EQ(Run(RunAttend), kExitOk);
  options_.json = false;
  EXPECT_EQ(Run(RunAttend), kExitOk);
  EXPECT_THAT(asked, testing::ElementsAre(v1::RESULT_FORMAT_FLOAT_VALUES, v1::RESULT_FORMAT_BYTES,
                                          v1::RESULT_FORMAT_BYTES));
}

TEST_F(CommandsTest, ExplainDrawsInColorOnlyWhenTold) {
  EXPECT_EQ(Run(RunExplain), kExitOk);
  EXPECT_THAT(out_, HasSubstr("jim -> likes 75.0 %, jim 25.0 %\n"));
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
  options_.shading = Shading::kColor;
  EXPECT_EQ(Run(RunExplain), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\x1b[48;2;"));
}

TEST_F(CommandsTest, AttendSendsSeveralFilesOnOneStream) {
  const std::string bad = folder_.File("bad.json");
  std::ofstream(bad) << R"({"request": {"tokens": {"tokens": [[7]]}}})";
  options_.more_files = {bad, options_.file};
  answer_ = [](const v1::ComputeAttentionRequest& request, auto& response) {
    if (request.tokens().tokens().shape(0) == 1) {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "one token is too few");
    }
    return AnswerWithWeights(request, response);
  };
  EXPECT_EQ(Run(RunAttend), kExitFailed);
  EXPECT_THAT(out_, StartsWith("== " + options_.file + "\na \\u{1b} title\n\nattention_weights"));
  EXPECT_THAT(out_, Not(HasSubstr(bad)));
  EXPECT_EQ(err_,
            "attention_client: INVALID_ARGUMENT: one token is too few; this was " + bad + "\n");
}

TEST_F(CommandsTest, AttendSavesAllTensors) {
  options_.save = folder_.File("results.safetensors");
  EXPECT_EQ(Run(RunAttend), kExitOk);
  EXPECT_EQ(out_, "wrote " + options_.save + "\n");
  const auto weights = ReadArray(options_.save + ":attention_weights");
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_THAT(*FloatValues(*weights), testing::ElementsAre(0.25f, 0.75f, 0.5f, 0.5f));
  answer_ = [](const auto&, auto&) {
    ADD_FAILURE() << "computed for a file that cannot be written";
    return grpc::Status::OK;
  };
  for (const char* const path : {"/no/such.npz", "results.txt", "/tmp/.npz/", "/proc/1/x.npz"}) {
    options_.save = path;
    EXPECT_EQ(Run(RunAttend), kExitUsage) << path;
  }
}

TEST_F(CommandsTest, ExplainWritesAPicture) {
  options_.png = folder_.File("map.png");
  EXPECT_EQ(Run(RunExplain), kExitOk) << err_;
  std::string start(8, '\0');
  std::ifstream(options_.png, std::ios::binary).read(start.data(), 8);
  EXPECT_EQ(start, "\x89PNG\r\n\x1a\n");
}

TEST_F(CommandsTest, HealthOverHttpSaysWhyItCannotAsk) {
  const NoServer nobody;
  options_.http = nobody.target();
  EXPECT_EQ(Run(RunHealth), kExitNoServer);
  EXPECT_THAT(err_, HasSubstr(nobody.target() + ": Connection refused"));
  options_.http = server_.target();  // which speaks HTTP/2
  EXPECT_EQ(Run(RunHealth), kExitNoServer);
  EXPECT_THAT(err_, HasSubstr("no HTTP server"));
  for (const char* const address : {"9090", ":9090", "localhost:0", "localhost:x"}) {
    options_.http = address;
    EXPECT_EQ(Run(RunHealth), kExitUsage);
    EXPECT_THAT(err_, HasSubstr("is no HOST:PORT"));
  }
  options_.watch = true;
  EXPECT_EQ(Run(RunHealth), kExitUsage);
}

TEST_F(CommandsTest, HealthTellsByItsExitCode) {
  EXPECT_EQ(Run(RunHealth), kExitOk);
  EXPECT_EQ(out_, "SERVING\n");
  options_.service = "no.Service";
  EXPECT_EQ(Run(RunHealth), kExitNoServer);
  EXPECT_THAT(err_, HasSubstr("NOT_FOUND"));
  options_.service = "";
  server_.SetServing(false);
  EXPECT_EQ(Run(RunHealth), kExitNoServer);
  EXPECT_THAT(err_, HasSubstr("is NOT_SERVING"));
}

TEST_F(CommandsTest, ARefusedCallShowsTheFieldsThatTheMessageDoesNot) {
  answer_ = [](const auto&, auto&) {
    google::rpc::BadRequest bad_request;
    for (const char* description : {"is bad", "is worse\x1b"}) {
      auto* violation = bad_request.add_field_violations();
      violation->set_field("tokens.tokens");
      violation->set_description(description);
    }
    google::rpc::Status details;
    details.add_details()->PackFrom(bad_request);
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "tokens.tokens is bad",
                        details.SerializeAsString());
  };
  EXPECT_EQ(Run(RunAttend), kExitFailed);
  EXPECT_EQ(err_,
            "attention_client: INVALID_ARGUMENT: tokens.tokens is bad\n"
            "  tokens.tokens: is worse\\u{1b}\n");
  EXPECT_EQ(out_, "");
}

TEST_F(CommandsTest, AnAnswerThatCannotBeReadIsAFailure) {
  answer_ = [](const auto&, v1::ComputeAttentionResponse& response) {
    *response.mutable_attention_weights() = MakeTensor({1, 1, 1000, 1000}, {1});
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run(RunAttend), kExitFailed);
  EXPECT_EQ(Run(RunExplain), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("INTERNAL: the attention weights cannot be read"));
}

TEST_F(CommandsTest, ABadFileIsAUsageErrorAndIsNotSent) {
  answer_ = [](const auto&, auto&) {
    ADD_FAILURE() << "a bad file was sent";
    return grpc::Status::OK;
  };
  Write("{\n\"request\": }");
  EXPECT_EQ(Run(RunAttend), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("attention_commands_test.json:2:12: "));
  options_.file = "/no/such.json";
  EXPECT_EQ(Run(RunExplain), kExitUsage);
  EXPECT_EQ(err_, "attention_client: /no/such.json: No such file or directory\n");
}

// What PyTorch writes by default is a pickle, which the server does not read.
TEST_F(CommandsTest, APyTorchCheckpointIsNotSentAndSaysHowItBecomesASafetensorsFile) {
  std::ofstream(folder_.File("config.json")) << "{}";
  std::ofstream(folder_.File("pytorch_model.bin"), std::ios::binary) << "PK\3\4 and more";
  const NoServer nobody;
  options_.client.target = nobody.target();
  for (const std::vector<std::string>& files :
       {std::vector<std::string>{folder_.path().string()},
        std::vector<std::string>{folder_.File("pytorch_model.bin"), folder_.File("config.json")}}) {
    options_.arguments = {"upload", "minilm"};
    options_.arguments.insert(options_.arguments.end(), files.begin(), files.end());
    EXPECT_EQ(Run(RunLayers), kExitUsage);
    EXPECT_THAT(err_,
                HasSubstr("pytorch_model.bin is a PyTorch checkpoint; want a safetensors file"));
    EXPECT_THAT(err_, HasSubstr("\npython3 -c \""));
  }
  std::filesystem::remove(folder_.File("pytorch_model.bin"));
  options_.arguments = {"upload", "minilm", folder_.path().string()};
  EXPECT_EQ(Run(RunLayers), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("model.safetensors: No such file"));
}

TEST_F(CommandsTest, NoServerHasAnExitCodeOfItsOwn) {
  const NoServer nobody;
  options_.client.target = nobody.target();
  for (Command* command : {&RunAttend, &RunExplain, &RunHealth}) {
    EXPECT_EQ(Run(*command), kExitNoServer);
    EXPECT_THAT(err_, HasSubstr("no connection to " + options_.client.target));
  }
}

TEST_F(CommandsTest, OptionsThatCannotWorkAreUsageErrors) {
  options_.client.target = "";
  for (Command* command : {&RunAttend, &RunExplain, &RunHealth}) {
    EXPECT_EQ(Run(*command), kExitUsage);
  }
}

}  // namespace
}  // namespace attention::client
