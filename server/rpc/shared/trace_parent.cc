#include "server/rpc/shared/trace_parent.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/string_view.h"

namespace attention::rpc {
namespace {

constexpr char kName[] = "traceparent";

bool IsTraceParent(absl::string_view text) {
  constexpr absl::string_view kForm = "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  const auto fits = [](char c, char form) {
    if (form != 'x') return c == form;
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  };
  return text.size() == kForm.size() && std::equal(text.begin(), text.end(), kForm.begin(), fits);
}

}  // namespace

std::string TraceParent(const grpc::ServerContextBase& rpc) {
  const auto& metadata = rpc.client_metadata();
  const auto found = metadata.find(kName);
  if (found == metadata.end()) return "";
  const absl::string_view text(found->second.data(), found->second.size());
  return IsTraceParent(text) ? std::string(text) : "";
}

void EchoTraceParent(grpc::ServerContextBase& rpc) {
  if (const std::string trace = TraceParent(rpc); !trace.empty()) {
    rpc.AddTrailingMetadata(kName, trace);
  }
}

}  // namespace attention::rpc
