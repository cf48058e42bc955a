#include "client/load/lengths.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace attention::client {
namespace {

constexpr int64_t kMost = int64_t{1} << 24;  // tokens; no server accepts more

bool ParseLength(absl::string_view text, int64_t& length) {
  return absl::SimpleAtoi(text, &length) && length >= 1 && length <= kMost;
}

absl::Status Malformed(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("lengths are \"", text,
                   "\"; want a number of tokens such as 128, uniform:LEAST-MOST, "
                   "lognormal:MEDIAN,DEVIATION,MOST or file:PATH, with lengths of 1 to ",
                   kMost));
}

}  // namespace

absl::StatusOr<Lengths> Lengths::Parse(absl::string_view text) {
  absl::string_view rest = text;
  absl::StatusOr<Lengths> lengths = Malformed(text);
  Lengths fixed;
  if (ParseLength(text, fixed.least_)) {
    fixed.most_ = fixed.least_;
    return fixed;
  }
  if (absl::ConsumePrefix(&rest, "file:")) return ReadFile(std::string(rest));
  if (absl::ConsumePrefix(&rest, "uniform:")) {
    lengths = ParseUniform(rest);
  } else if (absl::ConsumePrefix(&rest, "lognormal:")) {
    lengths = ParseLogNormal(rest);
  }
  return lengths.ok() ? lengths : Malformed(text);
}

absl::StatusOr<Lengths> Lengths::ParseUniform(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '-');
  Lengths lengths;
  if (parts.size() != 2 || !ParseLength(parts[0], lengths.least_) ||
      !ParseLength(parts[1], lengths.most_) || lengths.least_ > lengths.most_) {
    return Malformed(text);
  }
  return lengths;
}

absl::StatusOr<Lengths> Lengths::ParseLogNormal(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ',');
  Lengths lengths;
  if (parts.size() != 3 || !absl::SimpleAtod(parts[0], &lengths.median_) ||
      !absl::SimpleAtod(parts[1], &lengths.deviation_) || !ParseLength(parts[2], lengths.most_)) {
    return Malformed(text);
  }
  const bool in_range = lengths.median_ >= 1 && lengths.median_ <= kMost &&
                        lengths.deviation_ > 0 && lengths.deviation_ < 10;
  if (!in_range) return Malformed(text);
  return lengths;
}

absl::StatusOr<Lengths> Lengths::ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read the lengths in ", path));
  Lengths lengths;
  for (std::string word; file >> word;) {
    int64_t length = 0;
    if (!ParseLength(word, length)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " has \"", word, "\"; want numbers of tokens, 1 to ", kMost));
    }
    lengths.listed_.push_back(length);
  }
  if (lengths.listed_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " has no lengths"));
  }
  return lengths;
}

int64_t Lengths::Draw(std::mt19937_64& random) const {
  if (!listed_.empty()) {
    return listed_[std::uniform_int_distribution<size_t>(0, listed_.size() - 1)(random)];
  }
  if (median_ == 0) return std::uniform_int_distribution<int64_t>(least_, most_)(random);
  const double drawn = std::lognormal_distribution<double>(std::log(median_), deviation_)(random);
  return std::clamp(static_cast<int64_t>(std::min(drawn, 1.0 * kMost)), least_, most_);
}

}  // namespace attention::client
