#ifndef ATTENTION_TESTS_SWEEP_H_
#define ATTENTION_TESTS_SWEEP_H_

#include <cstdlib>
#include <string_view>

namespace attention {

// How far tests of numbers sweep is said by ATTENTION_SWEEP in the environment: "full" is
// everything, as .ci/long has it, "few" a few shapes and settings that cover each way through the
// code. Without it, the sanitizers' builds take the few and all others most of it: a sanitizer
// makes the operator some fifteen times slower and sees the same code at each length.
inline bool SweepIs(std::string_view extent) {
  const char* const sweep = std::getenv("ATTENTION_SWEEP");
  return sweep != nullptr && sweep == extent;
}

inline bool SweepIsFull() { return SweepIs("full"); }

// Whether a test goes through all of its shapes and settings, or through the few.
inline bool SweepsAll() {
#ifdef ATTENTION_SANITIZED
  return SweepIsFull();
#else
  return !SweepIs("few");
#endif
}

}  // namespace attention

#endif  // ATTENTION_TESTS_SWEEP_H_
