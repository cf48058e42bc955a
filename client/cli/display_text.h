#ifndef ATTENTION_CLIENT_CLI_DISPLAY_TEXT_H_
#define ATTENTION_CLIENT_CLI_DISPLAY_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

// Text from files and servers made fit for a terminal. UTF-8 throughout.
namespace attention::client {

// One character and how many bytes it took; `valid` is false for one byte that is no UTF-8.
struct Character {
  char32_t code = 0;
  size_t bytes = 1;
  bool valid = false;
};

// The first character of a text that is not empty.
Character Decode(absl::string_view text);

// The text with everything that could command a terminal or reorder a line written out: control
// characters, bidirectional overrides and bytes that are no UTF-8 become \n, \t, \xNN or \u{N}.
std::string EscapeControls(absl::string_view text);

// As above, but line breaks stay: for messages of several lines.
std::string EscapeControlsKeepLines(absl::string_view text);

// How many terminal columns the text takes: 2 for East Asian wide characters and emoji, 0 for
// combining marks, 1 for all others. A rough table instead of the locale's wcwidth(), so that the
// same file looks the same everywhere. `text` is free of controls.
size_t DisplayWidth(absl::string_view text);

// The text, at most `width` columns of it: what is longer ends in "…". `width` at least 1.
std::string Shorten(absl::string_view text, size_t width);

// The text with spaces before it (after it) up to `width` columns; unchanged if it is wider.
std::string AlignRight(absl::string_view text, size_t width);
std::string AlignLeft(absl::string_view text, size_t width);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_DISPLAY_TEXT_H_
