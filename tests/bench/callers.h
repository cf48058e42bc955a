#ifndef ATTENTION_TESTS_BENCH_CALLERS_H_
#define ATTENTION_TESTS_BENCH_CALLERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "attention/v1/attention_service.grpc.pb.h"

namespace attention {

// Callers who each send the same call again as soon as it is answered (a closed loop), over one
// connection for each four of them.
class Callers {
 public:
  Callers(const std::string& address, int callers, const v1::ComputeAttentionRequest& request);
  ~Callers();

  struct Answered {
    int64_t calls = 0;
    double seconds = 0;
    double PerSecond() const { return static_cast<double>(calls) / seconds; }
  };
  // Calls for about so long. Ends the process with 1 where a call fails.
  Answered CallFor(absl::Duration how_long);

 private:
  class Caller;
  std::vector<std::unique_ptr<v1::AttentionService::Stub>> stubs_;
  std::vector<std::unique_ptr<Caller>> callers_;
};

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_CALLERS_H_
