#ifndef ATTENTION_CLIENT_LOAD_LOAD_TEST_H_
#define ATTENTION_CLIENT_LOAD_LOAD_TEST_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/load_options.h"
#include "client/load/load_result.h"

namespace attention::client {

// What is asked for that cannot be. INVALID_ARGUMENT, with words for the user.
absl::Status CheckLoadOptions(const LoadOptions& options);

// Loads the servers as the options say and waits until all calls have ended: the duration, the
// warm-up and at most the timeout of a call. Fails as CheckLoadOptions, CreateChannel and
// MakeLoadRequests do; calls that fail under load are part of the result.
absl::StatusOr<LoadResult> RunLoadTest(const LoadOptions& options);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_TEST_H_
