#include "client/cli/display_text.h"

#include <string>

#include "gtest/gtest.h"

namespace attention::client {
namespace {

TEST(EscapeControls, LeavesTextAlone) {
  EXPECT_EQ(EscapeControls("jim, über 猫 🦆 e\u0301"), "jim, über 猫 🦆 e\u0301");
}

TEST(EscapeControls, WritesOutWhatCommandsATerminal) {
  EXPECT_EQ(EscapeControls("a\x1b[2J\x7f"), "a\\u{1b}[2J\\u{7f}");
  EXPECT_EQ(EscapeControls("\u009b31m"), "\\u{9b}31m");  // C1's one-character CSI
  EXPECT_EQ(EscapeControls("a\u202eb"), "a\\u{202e}b");  // right-to-left override
  EXPECT_EQ(EscapeControls("a\nb\tc\r"), "a\\nb\\tc\\u{d}");
  EXPECT_EQ(EscapeControls(std::string("\0", 1)), "\\u{0}");
  EXPECT_EQ(EscapeControlsKeepLines("a\nb\x1b"), "a\nb\\u{1b}");
}

TEST(EscapeControls, WritesOutBytesThatAreNoUtf8) {
  EXPECT_EQ(EscapeControls("\xff"), "\\xff");
  EXPECT_EQ(EscapeControls("\xc3"), "\\xc3");           // cut off
  EXPECT_EQ(EscapeControls("\xc0\x80"), "\\xc0\\x80");  // overlong
  EXPECT_EQ(EscapeControls("\xe0\x80\x80"), "\\xe0\\x80\\x80");
  EXPECT_EQ(EscapeControls("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(EscapeControls("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(DisplayWidth, CountsTerminalColumns) {
  EXPECT_EQ(DisplayWidth(""), 0u);
  EXPECT_EQ(DisplayWidth("jim"), 3u);
  EXPECT_EQ(DisplayWidth("über"), 4u);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u);
  EXPECT_EQ(DisplayWidth("猫"), 2u);
  EXPECT_EQ(DisplayWidth("🦆"), 2u);
}

TEST(Shorten, CutsWholeCharacters) {
  EXPECT_EQ(Shorten("football", 8), "football");
  EXPECT_EQ(Shorten("football", 5), "foot…");
  EXPECT_EQ(Shorten("猫猫猫", 4), "猫…");
  EXPECT_EQ(Shorten("football", 1), "…");
}

TEST(Align, CountsColumnsAndNotBytes) {
  EXPECT_EQ(AlignRight("猫", 4), "  猫");
  EXPECT_EQ(AlignRight("über", 5), " über");
  EXPECT_EQ(AlignLeft("über", 5), "über ");
  EXPECT_EQ(AlignRight("football", 3), "football");
}

}  // namespace
}  // namespace attention::client
