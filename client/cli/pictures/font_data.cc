#include "client/cli/pictures/font_data.h"

// Puts the bytes of the font file among the constants of the program; ATTENTION_FONT is its path.
asm(".pushsection .rodata\n"
    ".balign 8\n"
    "attention_font_begin: .incbin \"" ATTENTION_FONT
    "\"\n"
    "attention_font_end:\n"
    ".popsection\n");

extern "C" {
// NOLINTNEXTLINE(*-avoid-c-arrays): labels have no other type
extern const uint8_t attention_font_begin[];
extern const uint8_t attention_font_end[];
}

namespace attention::client {

const uint8_t* FontData() { return attention_font_begin; }

size_t FontBytes() { return static_cast<size_t>(attention_font_end - attention_font_begin); }

}  // namespace attention::client
