#include "client/load/lengths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/temporary_folder.h"

namespace attention::client {
namespace {

std::vector<int64_t> Draw(const std::string& text, int count) {
  const absl::StatusOr<Lengths> lengths = Lengths::Parse(text);
  EXPECT_TRUE(lengths.ok()) << lengths.status();
  std::mt19937_64 random(1);
  std::vector<int64_t> drawn(count);
  for (int64_t& length : drawn) length = lengths->Draw(random);
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

TEST(Lengths, AreFixed) { EXPECT_THAT(Draw("128", 10), testing::Each(128)); }

TEST(Lengths, AreUniform) {
  const std::vector<int64_t> drawn = Draw("uniform:3-5", 3000);
  for (const int64_t length : {3, 4, 5}) {
    EXPECT_NEAR(std::count(drawn.begin(), drawn.end(), length), 1000, 150);
  }
}

TEST(Lengths, AreLogNormalWithinTheirBounds) {
  const std::vector<int64_t> drawn = Draw("lognormal:64,0.8,512", 10001);
  EXPECT_NEAR(drawn[5000], 64, 3);
  EXPECT_NEAR(drawn[8413], 64 * 2.2255, 10) << "one standard deviation further: times e^0.8";
  EXPECT_GE(drawn.front(), 1);
  EXPECT_EQ(drawn.back(), 512);
}

TEST(Lengths, ComeFromAFile) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "lengths").string();
  std::ofstream(path) << "7 9\n7\n";
  const std::vector<int64_t> drawn = Draw("file:" + path, 3000);
  EXPECT_NEAR(std::count(drawn.begin(), drawn.end(), 7), 2000, 150);
  EXPECT_NEAR(std::count(drawn.begin(), drawn.end(), 9), 1000, 150);
  std::ofstream(path) << "7 x";
  EXPECT_THAT(std::string(Lengths::Parse("file:" + path).status().message()),
              testing::HasSubstr("has \"x\"; want numbers of tokens"));
  std::ofstream(path) << " ";
  EXPECT_FALSE(Lengths::Parse("file:" + path).ok());
  EXPECT_EQ(Lengths::Parse("file:/none/such").status().code(), absl::StatusCode::kNotFound);
}

TEST(Lengths, SayWhatIsWantedOfThem) {
  for (const char* const text :
       {"", "0", "-1", "x", "16777217", "99999999999999999999", "uniform:", "uniform:1",
        "uniform:5-3", "uniform:0-3", "uniform:1-2-3", "lognormal:64", "lognormal:0,1,5",
        "lognormal:64,0,512", "lognormal:64,nan,512", "lognormal:inf,1,512", "lognormal:64,1,0",
        "fixed:3"}) {
    EXPECT_EQ(Lengths::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace attention::client
