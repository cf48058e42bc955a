#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"
#include "tests/temporary_folder.h"

namespace attention::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kSample[] = ATTENTION_SAMPLES_DIR "/003_weighted_values.json";

struct Finished {
  int exit_code = -1;
  std::string output;  // standard output and standard error
};

// Runs the program through the shell; `arguments` may redirect.
Finished RunClient(const std::string& arguments) {
  std::FILE* pipe =
      popen(absl::StrCat("exec 2>&1; '", ATTENTION_CLIENT, "' ", arguments).c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  Finished finished;
  std::array<char, 4096> buffer;
  while (const size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    finished.output.append(buffer.data(), got);
  }
  finished.exit_code = WEXITSTATUS(pclose(pipe));
  return finished;
}

// A server for the sample that is attended here.
class CommandLineTest : public testing::Test {
 protected:
  FakeServer server_{
      [](const v1::ComputeAttentionRequest& request, v1::ComputeAttentionResponse& response) {
        *response.mutable_output() = request.weighted().value();
        return grpc::Status::OK;
      }};
};

TEST_F(CommandLineTest, TakesFlagsBeforeAndBehindTheOthers) {
  for (const std::string& arguments : {
           absl::StrCat("attend ", kSample, " --json --target=", server_.target()),
           absl::StrCat("--json --target ", server_.target(), " attend ", kSample),
           absl::StrCat("-json=true attend --timeout=1m --target=", server_.target(), " -- ",
                        kSample),
       }) {
    const Finished finished = RunClient(arguments);
    EXPECT_EQ(finished.exit_code, 0) << finished.output;
    EXPECT_THAT(finished.output, StartsWith("{\n \"output\""));
  }
  const Finished tables =
      RunClient(absl::StrCat("--json --nojson attend ", kSample, " --target=", server_.target()));
  EXPECT_EQ(tables.exit_code, 0);
  EXPECT_THAT(tables.output, HasSubstr("output [3, 3]: "));
}

TEST_F(CommandLineTest, ReadsStandardInput) {
  const Finished finished =
      RunClient(absl::StrCat("attend - --target=", server_.target(), " < ", kSample));
  EXPECT_EQ(finished.exit_code, 0) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("output [3, 3]: "));
  EXPECT_THAT(RunClient("attend - < /dev/null").output,
              StartsWith("attention_client: standard input:1:1: "));
}

TEST_F(CommandLineTest, ColorsWhenToldAndNeverIntoAPipe) {
  const std::string explain =
      absl::StrCat("explain ", kSample, " --target=", server_.target(), " --color=");
  EXPECT_THAT(RunClient(explain + "auto").output, Not(HasSubstr("\x1b")));
  EXPECT_THAT(RunClient(explain + "never").output, Not(HasSubstr("\x1b")));
  EXPECT_THAT(RunClient(explain + "always").output, HasSubstr("\x1b[48;2;"));
}

TEST_F(CommandLineTest, TellsTheHealth) {
  EXPECT_EQ(RunClient("health --target=" + server_.target()).output, "SERVING\n");
  server_.SetServing(false);
  EXPECT_EQ(RunClient("health --target=" + server_.target()).exit_code, 3);
  const NoServer nobody;
  EXPECT_EQ(RunClient("health --target=" + nobody.target()).exit_code, 3);
}

// 2 MiB of zeros, where 1 MiB is let through.
TEST_F(CommandLineTest, RefusesAFileThatIsLargerThanAMessage) {
  const TemporaryFolder folder;
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (512, 1024)}\n";
  std::ofstream(folder.File("value.npy"), std::ios::binary)
      << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(header.size()) << '\0' << header
      << std::string(size_t{2} << 20, '\0');
  std::ofstream(folder.File("x.json"))
      << R"({"request": {"weighted": {"attention_weights": [[1]], "value": "value.npy"}}})";
  const std::string attend =
      absl::StrCat("attend ", folder.File("x.json"), " --json --target=", server_.target());
  EXPECT_EQ(RunClient(attend + " > /dev/null").exit_code, 0);
  const Finished refused = RunClient(attend + " --max_message_mib=1");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.output, HasSubstr("value.npy: it has 2097152 bytes, and the message room for "
                                        "1048576; send less at a time, or start server and client "
                                        "with a larger --max_message_mib"));
}

TEST_F(CommandLineTest, SaysThatItsOutputCannotBeWritten) {
  const Finished finished =
      RunClient(absl::StrCat("attend ", kSample, " --target=", server_.target(), " > /dev/full"));
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_EQ(finished.output, "attention_client: cannot write to standard output\n");
}

TEST(CommandLine, ExplainsItself) {
  const Finished help = RunClient("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* word :
       {"attend FILE.json", "explain FILE.json", "health", "--target", "--json", "--timeout",
        "--max_message_mib", "--color", "--service", "Exit codes"}) {
    EXPECT_THAT(help.output, HasSubstr(word));
  }
  const Finished version = RunClient("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.output, testing::MatchesRegex("attention_client [0-9.]+\n"));
}

// What bash makes of a line at whose end the tabulator is pressed.
std::string Completed(const std::string& line) {
  const std::string script =
      absl::StrCat("source <('", ATTENTION_CLIENT, "' completion); compopt() { :; }; COMP_LINE='",
                   line, "'; COMP_POINT=${#COMP_LINE}; _attention_complete '", ATTENTION_CLIENT,
                   "'; echo \"${COMPREPLY[*]}\"");
  std::FILE* pipe = popen(absl::StrCat("bash <<'END'\n", script, "\nEND").c_str(), "r");
  std::array<char, 4096> buffer;
  const size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe);
  pclose(pipe);
  return {buffer.data(), got};
}

TEST(CommandLine, CompletesItselfInBash) {
  EXPECT_EQ(Completed("attention_client ex"), "explain\n");
  EXPECT_EQ(Completed("attention_client layers cr"), "create\n");
  EXPECT_EQ(Completed("attention_client explain --pn"), "--png=\n");
  EXPECT_EQ(Completed("attention_client explain --color=al"), "always\n");
  EXPECT_THAT(Completed("attention_client --tls"), HasSubstr("--tls_ca="));
  EXPECT_THAT(Completed("attention_client "), HasSubstr("attend explain"));
  EXPECT_EQ(Completed("attention_client --target=localhost:50051 layers l"), "list\n");
  EXPECT_EQ(Completed("attention_client --timeout 5s --json ex"), "explain\n");
}

TEST(CommandLine, RefusesWhatItCannotDoWithExitCode2) {
  const auto refusal = [](const std::string& arguments) {
    const Finished finished = RunClient(arguments);
    EXPECT_EQ(finished.exit_code, 2) << arguments;
    return finished.output;
  };
  EXPECT_THAT(refusal(""), HasSubstr("want a command"));
  EXPECT_THAT(refusal("atend x.json"), HasSubstr("there is no command \"atend\""));
  EXPECT_THAT(refusal("attend"), HasSubstr("attend takes a FILE"));
  EXPECT_THAT(refusal("explain a b"), HasSubstr("explain takes one FILE"));
  EXPECT_THAT(refusal("health a"), HasSubstr("health takes no FILE"));
  EXPECT_THAT(refusal("health --jsn"), HasSubstr("there is no flag --jsn"));
  EXPECT_THAT(refusal("health --notarget"), HasSubstr("there is no flag --notarget"));
  EXPECT_THAT(refusal("health --target"), HasSubstr("--target needs a value"));
  EXPECT_THAT(refusal("health --target="), HasSubstr("target is empty"));
  EXPECT_THAT(refusal("health --timeout=5"),
              HasSubstr("--timeout cannot be \"5\"; it is: how long to wait"));
  EXPECT_THAT(refusal("health --timeout=-5s"), HasSubstr("timeout is -5s; want more than 0"));
  EXPECT_THAT(refusal("attend x --max_message_mib=0"), HasSubstr("is 0; want 1 to 2047"));
  EXPECT_THAT(refusal("attend x --max_message_mib=2048"), HasSubstr("is 2048; want 1 to 2047"));
  EXPECT_THAT(refusal("explain x.json --color=red"), HasSubstr("--color is \"red\""));
  EXPECT_THAT(refusal("attend /no/such.json"), HasSubstr("/no/such.json: No such file"));
}

}  // namespace
}  // namespace attention::client
