#ifndef ATTENTION_TESTS_SWEEP_H_
#define ATTENTION_TESTS_SWEEP_H_

#include <cstdlib>
#include <string_view>

namespace attention {

// Whether a test of numbers goes through every shape and setting, or through a few that cover each
// way through the code. A sanitizer makes the operator some fifteen times slower and sees the same
// code at each length, so its builds take the few, unless ATTENTION_SWEEP=full in the environment
// asks for all, as .ci/long does. Every other build takes all.
inline bool SweepsAll() {
#ifdef ATTENTION_SANITIZED
  const char* const sweep = std::getenv("ATTENTION_SWEEP");
  return sweep != nullptr && std::string_view(sweep) == "full";
#else
  return true;
#endif
}

}  // namespace attention

#endif  // ATTENTION_TESTS_SWEEP_H_
