// Any bytes as an authorization policy: they are refused in words, or decide every call.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "server/ops/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using attention::ops::Policy;
  const auto policy = Policy::FromJson({reinterpret_cast<const char*>(data), size});
  if (!policy.ok()) {
    if (policy.status().message().empty()) std::abort();
    return 0;
  }
  const Policy::Call call = {.principals = {"spiffe://example.org/operator"},
                             .path = "/attention.v1.EncoderService/Encode",
                             .headers = {{"x-team", "a"}}};
  if (policy->Allows(call) != policy->Allows(call)) std::abort();
  return 0;
}
