#ifndef ATTENTION_CLIENT_CLI_DISPLAY_TEXT_H_
#define ATTENTION_CLIENT_CLI_DISPLAY_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

// Makes text from files and servers safe to print on a terminal. All texts are UTF-8.
namespace attention::client {

// One character and the bytes that it takes. `valid` is false for a single byte that is not UTF-8.
struct Character {
  char32_t code = 0;
  size_t bytes = 1;
  bool valid = false;
};

// Decodes the first character of a text, which must not be empty.
Character Decode(absl::string_view text);

// Escapes everything that could control a terminal or reorder a line: control characters,
// bidirectional overrides and bytes that are not UTF-8 become \n, \t, \xNN or \u{N}.
std::string EscapeControls(absl::string_view text);

// The same, but line breaks are kept, for messages of several lines.
std::string EscapeControlsKeepLines(absl::string_view text);

// Returns how many terminal columns the text takes: 2 for East Asian wide characters and emoji, 0
// for combining marks, 1 for all others. It uses an approximate table instead of the locale's
// wcwidth(), so that a file looks the same everywhere. `text` must not contain control characters.
size_t DisplayWidth(absl::string_view text);

// Cuts the text to at most `width` columns; a text that was cut ends in "…". `width` is at least 1.
std::string Shorten(absl::string_view text, size_t width);

// Adds spaces before the text (AlignRight) or after it (AlignLeft) up to `width` columns. A wider
// text stays unchanged.
std::string AlignRight(absl::string_view text, size_t width);
std::string AlignLeft(absl::string_view text, size_t width);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_DISPLAY_TEXT_H_
