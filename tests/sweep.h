#ifndef ATTENTION_TESTS_SWEEP_H_
#define ATTENTION_TESTS_SWEEP_H_

#include <cstdlib>
#include <string_view>

namespace attention {

// How far tests of numbers sweep. ATTENTION_SWEEP=full in the environment, as .ci/long has it, asks
// for everything.
inline bool SweepIsFull() {
  const char* const sweep = std::getenv("ATTENTION_SWEEP");
  return sweep != nullptr && std::string_view(sweep) == "full";
}

// Whether a test goes through all of its shapes and settings, or through a few that cover each way
// through the code. A sanitizer makes the operator some fifteen times slower and sees the same code
// at each length, so its builds take the few unless the sweep is full.
inline bool SweepsAll() {
#ifdef ATTENTION_SANITIZED
  return SweepIsFull();
#else
  return true;
#endif
}

}  // namespace attention

#endif  // ATTENTION_TESTS_SWEEP_H_
