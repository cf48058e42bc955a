#ifndef ATTENTION_TESTS_SERVER_WITHIN_H_
#define ATTENTION_TESTS_SERVER_WITHIN_H_

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace attention {

// Whether something that others do happens before `most` has passed.
inline bool Within(absl::Duration most, absl::FunctionRef<bool()> happens) {
  const absl::Time end = absl::Now() + most;
  while (absl::Now() < end) {
    if (happens()) return true;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return happens();
}

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_WITHIN_H_
