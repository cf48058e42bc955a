#include "client/cli/display_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace attention::client {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

template <size_t kSize>
bool InAny(const std::array<Range, kSize>& ranges, char32_t code) {
  return std::any_of(ranges.begin(), ranges.end(), [code](const Range& range) {
    return range.first <= code && code <= range.last;
  });
}

bool CommandsTerminal(char32_t code) {
  constexpr std::array<Range, 6> kRanges = {{
      {0x00, 0x1F},      // C0 controls
      {0x7F, 0x9F},      // DEL and C1 controls
      {0x061C, 0x061C},  // Arabic letter mark
      {0x200E, 0x200F},  // left-to-right and right-to-left marks
      {0x2028, 0x202E},  // line separators, bidirectional embeddings and overrides
      {0x2066, 0x2069},  // bidirectional isolates
  }};
  return InAny(kRanges, code);
}

// Unicode 15's general categories Mn and Me by block, and characters that join others.
bool TakesNoColumn(char32_t code) {
  constexpr std::array<Range, 8> kRanges = {{{0x0300, 0x036F},
                                             {0x0483, 0x0489},
                                             {0x0591, 0x05BD},
                                             {0x1AB0, 0x1AFF},
                                             {0x1DC0, 0x1DFF},
                                             {0x200B, 0x200D},
                                             {0x20D0, 0x20FF},
                                             {0xFE00, 0xFE0F}}};
  return InAny(kRanges, code);
}

// Unicode 15's East Asian Width W and F by block.
bool TakesTwoColumns(char32_t code) {
  constexpr std::array<Range, 11> kRanges = {{{0x1100, 0x115F},
                                              {0x2E80, 0x303E},
                                              {0x3041, 0xA4CF},
                                              {0xAC00, 0xD7A3},
                                              {0xF900, 0xFAFF},
                                              {0xFE30, 0xFE6F},
                                              {0xFF00, 0xFF60},
                                              {0xFFE0, 0xFFE6},
                                              {0x1F300, 0x1F64F},
                                              {0x1F900, 0x1F9FF},
                                              {0x20000, 0x3FFFD}}};
  return InAny(kRanges, code);
}

size_t Width(char32_t code) { return TakesNoColumn(code) ? 0 : TakesTwoColumns(code) ? 2 : 1; }

std::string Escape(absl::string_view text, bool keep_lines) {
  std::string escaped;
  while (!text.empty()) {
    const Character character = Decode(text);
    if (!character.valid) {
      absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<unsigned char>(text[0]));
    } else if (character.code == '\n') {
      absl::StrAppend(&escaped, keep_lines ? "\n" : "\\n");
    } else if (character.code == '\t') {
      absl::StrAppend(&escaped, "\\t");
    } else if (CommandsTerminal(character.code)) {
      absl::StrAppendFormat(&escaped, "\\u{%x}", static_cast<uint32_t>(character.code));
    } else {
      absl::StrAppend(&escaped, text.substr(0, character.bytes));
    }
    text.remove_prefix(character.bytes);
  }
  return escaped;
}

std::string Spaces(absl::string_view text, size_t width) {
  const size_t taken = DisplayWidth(text);
  return std::string(taken < width ? width - taken : 0, ' ');
}

}  // namespace

Character Decode(absl::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < bytes) return {};
  char32_t code = first & (0xFFu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3Fu);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800,
                                              0x10000};  // the least code of each length; less
                                                         // would be overlong
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kLeast[bytes] || code > 0x10FFFF || surrogate) return {};
  return {code, bytes, true};
}

std::string EscapeControls(absl::string_view text) { return Escape(text, /*keep_lines=*/false); }

std::string EscapeControlsKeepLines(absl::string_view text) {
  return Escape(text, /*keep_lines=*/true);
}

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Character character = Decode(text);
    width += Width(character.code);
    text.remove_prefix(character.bytes);
  }
  return width;
}

std::string Shorten(absl::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  std::string kept;
  size_t columns = 1;  // the "…"
  while (!text.empty()) {
    const Character character = Decode(text);
    columns += Width(character.code);
    if (columns > width) break;
    absl::StrAppend(&kept, text.substr(0, character.bytes));
    text.remove_prefix(character.bytes);
  }
  return absl::StrCat(kept, "…");
}

std::string AlignRight(absl::string_view text, size_t width) {
  return absl::StrCat(Spaces(text, width), text);
}

std::string AlignLeft(absl::string_view text, size_t width) {
  return absl::StrCat(text, Spaces(text, width));
}

}  // namespace attention::client
