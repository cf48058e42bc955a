#ifndef ATTENTION_TESTS_ASAN_ABSEIL_H_
#define ATTENTION_TESTS_ASAN_ABSEIL_H_

#include "absl/base/config.h"

// What all sources read first in a build with AddressSanitizer. Abseil's headers, from release 2023
// on, poison what a Cord does not use and give hash tables another layout where they see that
// sanitizer. Debian's Abseil is compiled without it and reads and writes the same objects, so the
// headers must not see it either. What is compiled is instrumented all the same.
#undef ABSL_HAVE_ADDRESS_SANITIZER

#endif  // ATTENTION_TESTS_ASAN_ABSEIL_H_
