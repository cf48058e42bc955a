#include "client/cli/files/request_file.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/files/array_file.h"
#include "client/cli/files/token_names.h"
#include "client/tensor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/temporary_folder.h"

namespace attention::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

RequestFile Parse(const std::string& text) {
  absl::StatusOr<RequestFile> file = ParseRequestFile(text, "x.json");
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? *file : RequestFile();
}

std::string RequestFileFailure(const std::string& text) {
  const absl::Status status = ParseRequestFile(text, "x.json").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

// What is wrong with a file that has this request.
std::string RequestFailure(const std::string& request) {
  return RequestFileFailure("{\"request\": " + request + "}");
}

TEST(ParseRequestFile, ReadsNamesAndRequest) {
  const RequestFile file = Parse(R"({
    "title": "a title", "words": ["jim", "likes"], "context_words": ["x", "y", "z"],
    "request": {"request_id": "7",
                "tokens": {"tokens": [[1, 2], [3, 4]], "context": [[1, 2], [3, 4], [5, 6]]},
                "config": {"scale": 0.5, "causal": true}, "query_indices": [1], "topK": 2}})");
  EXPECT_EQ(file.title, "a title");
  EXPECT_THAT(file.words, ElementsAre("jim", "likes"));
  EXPECT_THAT(file.context_words, ElementsAre("x", "y", "z"));
  EXPECT_EQ(file.request.request_id(), "7");
  EXPECT_THAT(*FloatValues(file.request.tokens().tokens()), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(file.request.tokens().context().shape(), ElementsAre(3, 2));
  EXPECT_EQ(file.request.config().scale(), 0.5f);
  EXPECT_TRUE(file.request.config().causal());
  EXPECT_THAT(file.request.query_indices(), ElementsAre(1));
  EXPECT_EQ(file.request.top_k(), 2);
}

TEST(ParseRequestFile, TakesTensorsInAllTheirForms) {
  const RequestFile file = Parse(R"({"request": {
    "projected": {
      "query": {"data_type": "FLOAT32", "shape": [1, 2], "float_values": [1, "-inf"]},
      "key": {"dataType": "DATA_TYPE_FLOAT32", "shape": ["1", "2"], "data": "AACAPwAAAEA="},
      "value": [[0.1, 0.2]]},
    "config": {"mask": [[true, false]]}}})");
  EXPECT_EQ(file.request.projected().query().float_values(1),
            -std::numeric_limits<float>::infinity());
  EXPECT_THAT(*FloatValues(file.request.projected().key()), ElementsAre(1, 2));
  EXPECT_THAT(*FloatValues(file.request.projected().value()), ElementsAre(0.1f, 0.2f));
  EXPECT_EQ(file.request.config().mask().data_type(), v1::DATA_TYPE_BOOL);
}

TEST(ParseRequestFile, TakesEnumNamesWithAndWithoutTheirPrefix) {
  const RequestFile file = Parse(R"({"request": {
    "config": {"normalization": "SUM"}, "results": ["OUTPUT", "RESULT_TOP_KEYS", 5]}})");
  EXPECT_EQ(file.request.config().normalization(), v1::NORMALIZATION_SUM);
  EXPECT_THAT(file.request.results(),
              ElementsAre(v1::RESULT_OUTPUT, v1::RESULT_TOP_KEYS, v1::RESULT_KEY));
}

TEST(ParseRequestFile, NamesTheValuesOfAnEnumThatHasNotThisOne) {
  EXPECT_EQ(RequestFailure(R"({"config": {"normalization": "MAX"}})"),
            "x.json: request.config.normalization is \"MAX\"; want one of SOFTMAX, SUM");
  EXPECT_THAT(RequestFailure(R"({"results": ["OUTPUT", "OUTPUTS"]})"),
              StartsWith("x.json: request.results[1] is \"OUTPUTS\"; want one of QUERY, "));
}

TEST(ParseRequestFile, NamesTheFieldsOfAMessageThatHasNotThisOne) {
  EXPECT_EQ(RequestFailure(R"({"tokens": {"tokns": [[1]]}})"),
            "x.json: request.tokens has no field \"tokns\"; it has tokens, context, "
            "projection_weights, layer, q_lens, kv_lens");
  EXPECT_EQ(RequestFileFailure(R"({"request": {}, "word": []})"),
            "x.json: unknown key \"word\"; want title, words, context_words, "
            "and request or encode");
}

// Protobuf knows a field by two spellings, and took the last of the two for the only one.
TEST(ParseRequestFile, RefusesAFieldInBothOfItsSpellings) {
  EXPECT_EQ(RequestFailure(R"({"config": {"num_heads": 1, "numHeads": 2}})"),
            "x.json: request.config has the field num_heads twice, as \"numHeads\" and as "
            "\"num_heads\"");
}

TEST(ParseRequestFile, ReadsACallOfAStoredEncoder) {
  const auto file = ParseRequestFile(
      R"({"words": ["the", "cat"], "encode": {"layer": {"name": "x"}, "token_ids": [3, 4]}})", "x");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->encode->token_ids_size(), 2);
  EXPECT_THAT(RequestFileFailure(R"({"words": ["the"], "encode": {"token_ids": [3, 4]}})"),
              HasSubstr("words names 1 tokens; want 2"));
  EXPECT_THAT(RequestFileFailure(R"({"request": {}, "encode": {}})"),
              HasSubstr("are both there; want one"));
}

TEST(ParseRequestFile, SaysWhereAHoleIs) {
  EXPECT_THAT(RequestFileFailure("{\n  \"request\": {\"tokens\": {\"tokens\": [[1, , 2]]}}\n}"),
              StartsWith("x.json:2:41: "));
  EXPECT_EQ(RequestFailure(R"({"tokens": {"tokens": [[1, 2, 3], [4, 5, null]]}})"),
            "x.json: request.tokens.tokens[1][2] is null; want a number");
  EXPECT_EQ(RequestFailure(R"({"tokens": {"tokens": [[1.5, 2, 3], [4, 5, 6], [7, 8]]}})"),
            "x.json: request.tokens.tokens[2] has length 2; want 3, as request.tokens.tokens[0] "
            "has");
  EXPECT_EQ(RequestFailure(R"({"tokens": null})"),
            "x.json: request.tokens is null; want a value, or leave it out");
  EXPECT_EQ(RequestFailure(R"({"config": {"scale": null}})"),
            "x.json: request.config.scale is null; want a value, or leave it out");
}

// Sequences of token ids were once told that their lengths differ.
TEST(ParseRequestFile, SaysWhereTokenIdsBelong) {
  const std::string hint = "; if these are token ids, \"token_ids\" of \"encode\" takes them";
  EXPECT_EQ(
      RequestFailure(R"({"tokens": {"tokens": [[101, 2023, 102], [101, 102]]}})"),
      "x.json: request.tokens.tokens[1] has length 2; want 3, as request.tokens.tokens[0] has" +
          hint);
  EXPECT_THAT(RequestFailure(R"({"tokens": {"tokens": [[1]], "context": [[1, 2], [3]]}})"),
              EndsWith(hint));
  EXPECT_THAT(RequestFileFailure(R"({"encode": {"embeddings": [[1, 2], [3]]}})"), EndsWith(hint));
  for (const char* const others : {"[[1, 2], [-3]]", "[[1, 2], [3.0]]", "[[1, 2], 3.5]"}) {
    EXPECT_THAT(RequestFailure(absl::StrCat(R"({"tokens": {"tokens": )", others, "}}")),
                testing::Not(HasSubstr("token ids")));
  }
  EXPECT_THAT(RequestFailure(R"({"projected": {"query": [[1, 2], [3]]}})"),
              testing::Not(HasSubstr("token ids")));
}

TEST(ParseRequestFile, TakesArraysFromFilesBesideIt) {
  const TemporaryFolder folder;
  const v1::Tensor tokens = MakeTensor({2, 2}, {1, 2, 3, 4});
  ASSERT_TRUE(WriteArrays(folder.File("some.npz"), {{"tokens", &tokens}, {"bad", &tokens}}).ok());
  const std::string text = R"({"request": {"tokens": {"tokens": "some.npz:NAME"}}})";
  const auto parse = [&](const std::string& name) {
    return ParseRequestFile(absl::StrReplaceAll(text, {{"NAME", name}}), "x.json",
                            {.folder = folder.File("")});
  };
  const auto file = parse("tokens");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->request.tokens().tokens().SerializeAsString(), tokens.SerializeAsString());
  EXPECT_THAT(std::string(parse("keys").status().message()),
              AllOf(StartsWith("x.json: request.tokens.tokens: "), HasSubstr("no \"keys\"")));
}

TEST(ParseRequestFile, PutsEachArrayInItsPlace) {
  const TemporaryFolder folder;
  std::vector<v1::Tensor> tensors;
  std::vector<NamedTensor> named;
  for (int i = 0; i < 4; ++i) tensors.push_back(MakeTensor({1, 1}, {static_cast<float>(i)}));
  for (size_t i = 0; i < 4; ++i) named.push_back({absl::StrCat(i), &tensors[i]});
  ASSERT_TRUE(WriteArrays(folder.File("all.npz"), named).ok());
  const auto file = ParseRequestFile(R"({"request": {
    "partials": {"parts": [{"output": "all.npz:0", "logSumExp": "all.npz:1"},
                           {"output": [[7]], "log_sum_exp": "all.npz:2"}]},
    "config": {"mask": "all.npz:3"}}})",
                                     "x.json", {.folder = folder.File("")});
  ASSERT_TRUE(file.ok()) << file.status();
  const auto& parts = file->request.partials().parts();
  ASSERT_EQ(parts.size(), 2);
  EXPECT_THAT(*FloatValues(parts[0].output()), ElementsAre(0));
  EXPECT_THAT(*FloatValues(parts[0].log_sum_exp()), ElementsAre(1));
  EXPECT_THAT(*FloatValues(parts[1].output()), ElementsAre(7));
  EXPECT_THAT(*FloatValues(parts[1].log_sum_exp()), ElementsAre(2));
  EXPECT_THAT(*FloatValues(file->request.config().mask()), ElementsAre(3));
}

TEST(ParseRequestFile, BoundsTheArraysOfAllFilesTogether) {
  const TemporaryFolder folder;
  const v1::Tensor tensor = MakeTensor({2, 2}, {1, 2, 3, 4});
  ASSERT_TRUE(WriteArrays(folder.File("one.npy"), {{"one", &tensor}}).ok());
  const auto parse = [&](uint64_t most_bytes) {
    return ParseRequestFile(
               R"({"request": {"tokens": {"context": "one.npy", "tokens": "one.npy"}}})", "x.json",
               {.folder = folder.File(""), .most_bytes = most_bytes})
        .status();
  };
  EXPECT_TRUE(parse(2 * tensor.data().size()).ok());
  EXPECT_THAT(std::string(parse(2 * tensor.data().size() - 1).message()),
              AllOf(StartsWith("x.json: request.tokens.tokens: "),
                    HasSubstr("it has 16 bytes, and the message room for 15")));
}

TEST(ParseRequestFile, RefusesValuesThatTheirFieldsCannotHold) {
  EXPECT_THAT(RequestFailure(R"({"config": {"num_heads": "two"}})"),
              AllOf(StartsWith("x.json: request does not fit: "), HasSubstr("two")));
  EXPECT_THAT(RequestFailure(R"({"tokens": 5})"),
              StartsWith("x.json: request.tokens is no object; want an object with tokens"));
  EXPECT_THAT(
      RequestFailure(R"({"tokens": {"tokens": 5}})"),
      HasSubstr("want nested arrays, a file of arrays, or an object with data_type, shape"));
  EXPECT_EQ(RequestFailure(R"({"results": "OUTPUT"})"),
            "x.json: request.results is no array; want one");
  EXPECT_THAT(RequestFailure(R"({"tokens": {}, "weighted": {}})"),
              StartsWith("x.json: request does not fit: "));
}

TEST(ParseRequestFile, RefusesAFileOfAnotherForm) {
  EXPECT_THAT(RequestFileFailure("[1]"),
              EndsWith("the file is no JSON object; want {\"request\": {...}}"));
  EXPECT_EQ(RequestFileFailure("{}"), "x.json: the key \"request\" is missing");
  EXPECT_EQ(RequestFileFailure(R"({"request": {}, "title": 5})"),
            "x.json: title is no string; want one");
  EXPECT_EQ(RequestFileFailure(R"({"request": {}, "words": "jim"})"),
            "x.json: words is no array; want one of strings");
  EXPECT_EQ(RequestFileFailure(R"({"request": {}, "words": ["jim", 5]})"),
            "x.json: words[1] is no string; want one");
}

TEST(ParseRequestFile, WantsAsManyNamesAsTokens) {
  EXPECT_EQ(
      RequestFileFailure(R"({"words": ["a"], "request": {"tokens": {"tokens": [[1], [2]]}}})"),
      "x.json: words names 1 tokens; want 2, as many as query tokens the request has");
  EXPECT_EQ(RequestFileFailure(R"({"context_words": ["a"], "request": {"tokens": {"tokens": [[1]],
                        "context": [[1], [2], [3]]}}})"),
            "x.json: context_words names 1 tokens; want 3, as many as key tokens the request has");
  EXPECT_EQ(RequestFileFailure(R"({"words": ["a"], "context_words": ["b"], "request": {"weighted": {
                        "attention_weights": [[0.5, 0.5]], "value": [[1], [2]]}}})"),
            "x.json: context_words names 1 tokens; want 2, as many as key tokens the request has");
}

TEST(ReadRequestFile, SaysWhichFileCannotBeRead) {
  const absl::Status missing = ReadRequestFile("/no/such.json").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(missing.message(), "/no/such.json: No such file or directory");
  EXPECT_EQ(ReadRequestFile("/").status().message(), "/: Is a directory");
}

TEST(ReadRequestFile, StopsAtTheLimit) {
  const TemporaryFolder folder;
  const std::string path = folder.File("large.json");
  std::ofstream(path) << "{";
  std::filesystem::resize_file(path, static_cast<uintmax_t>(kMaxRequestFileBytes) + 1);
  const absl::Status status = ReadRequestFile(path).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("larger than 256 MiB"));
}

TEST(Samples, AllParseAndNameTheirTokens) {
  int samples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ATTENTION_SAMPLES_DIR)) {
    if (entry.path().extension() != ".json") continue;
    ++samples;
    absl::StatusOr<RequestFile> file = ReadRequestFile(entry.path().string());
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_FALSE(file->title.empty()) << entry.path();
    if (file->encode.has_value()) {
      EXPECT_EQ(static_cast<int64_t>(file->words.size()), TokenCount(*file->encode));
      continue;
    }
    const TokenNames names = NamesFor(*file);
    EXPECT_FALSE(names.queries.empty()) << entry.path();
    EXPECT_EQ(static_cast<int64_t>(names.keys.size()), KeyLength(file->request)) << entry.path();
  }
  EXPECT_GE(samples, 5);
}

}  // namespace
}  // namespace attention::client
