#ifndef ATTENTION_CLIENT_LOAD_LENGTHS_H_
#define ATTENTION_CLIENT_LOAD_LENGTHS_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attention::client {

// The distribution of the number of tokens of a call, described by a text.
//
//   "128"                        always 128
//   "uniform:1-512"              1 to 512, each as likely
//   "lognormal:64,0.8,512"       the logarithm is normal: median 64, standard deviation 0.8; what
//                                would be below 1 is 1, what would be above 512 is 512. Real
//                                sentences are distributed about so.
//   "file:PATH"                  the numbers in a text file, between white space, each as likely
class Lengths {
 public:
  // INVALID_ARGUMENT if the text is wrong; the message says what is wanted. NOT_FOUND if the file
  // cannot be read.
  static absl::StatusOr<Lengths> Parse(absl::string_view text);

  int64_t Draw(std::mt19937_64& random) const;  // at least 1

 private:
  static absl::StatusOr<Lengths> ParseUniform(absl::string_view text);
  static absl::StatusOr<Lengths> ParseLogNormal(absl::string_view text);
  static absl::StatusOr<Lengths> ReadFile(const std::string& path);

  std::vector<int64_t> listed_;  // empty: uniform or log-normal
  int64_t least_ = 1, most_ = 1;
  double median_ = 0, deviation_ = 0;  // of the log-normal distribution; median_ is 0 for a uniform
                                       // one
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LENGTHS_H_
