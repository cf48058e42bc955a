#ifndef ATTENTION_TESTS_JSON_CASES_H_
#define ATTENTION_TESTS_JSON_CASES_H_

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"

namespace attention {

// A line of tests/data/json/cases.txt, which says what the columns are.
struct JsonCase {
  std::string verdict;
  std::string says;
  std::string text;
};

// All of them. ATTENTION_TEST_DATA is the path of tests/data.
inline std::vector<JsonCase> JsonCases() {
  std::ifstream file(ATTENTION_TEST_DATA "/json/cases.txt");
  std::vector<JsonCase> cases;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> columns = absl::StrSplit(line, absl::MaxSplits('|', 2));
    EXPECT_EQ(columns.size(), 3u) << line;
    if (columns.size() != 3) continue;
    JsonCase& read = cases.emplace_back();
    read.verdict = std::string(absl::StripAsciiWhitespace(columns[0]));
    read.says = std::string(absl::StripAsciiWhitespace(columns[1]));
    const bool has_text = columns[2].size() > 1;  // behind the blank
    EXPECT_TRUE(!has_text || absl::CUnescape(columns[2].substr(1), &read.text)) << line;
  }
  EXPECT_GE(cases.size(), 90u) << "the table cannot be read";
  return cases;
}

}  // namespace attention

#endif  // ATTENTION_TESTS_JSON_CASES_H_
