#include "client/cli/commands/progress_bar.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr int64_t kMib = 1 << 20;

TEST(ProgressText, SaysHowMuchHowFastAndHowLong) {
  EXPECT_EQ(ProgressText("minilm", 25 * kMib, 100 * kMib, absl::Seconds(5)),
            "minilm  [======>                 ]  25 %  25.0 of 100.0 MiB  5.0 MiB/s  15 s left");
  EXPECT_EQ(ProgressText("minilm", 0, 100 * kMib, absl::Seconds(5)),
            "minilm  [>                       ]   0 %  0.0 of 100.0 MiB");
  EXPECT_EQ(ProgressText("x", 2 * kMib, 2 * kMib, absl::Seconds(1)),
            "x  [========================] 100 %  2.0 of 2.0 MiB  2.0 MiB/s");
  EXPECT_THAT(ProgressText("nothing", 0, 0, absl::ZeroDuration()), HasSubstr("100 %"));
}

TEST(ProgressBar, DrawsOverItselfAndEndsItsLine) {
  std::ostringstream out;
  {
    ProgressBar bar(&out, "x", 4);
    for (int64_t i = 0; i <= 4; ++i) bar.Update(i);
  }
  EXPECT_THAT(out.str(), HasSubstr("\rx  [>"));
  EXPECT_THAT(out.str(), HasSubstr("100 %"));
  EXPECT_THAT(out.str(), EndsWith("\x1b[K\n"));
  ProgressBar(nullptr, "x", 4).Update(4);
}

}  // namespace
}  // namespace attention::client
