#include "client/unanswered_calls.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

namespace attention::client {
namespace {

// The most bytes of a request_id (attention_service.proto). A longer one is sent unchanged, and the
// server's refusal has no request_id.
constexpr size_t kMostIdBytes = 256;

}  // namespace

std::string UnansweredCalls::FreeId(const std::string& own_id) const {
  if (own_id.size() > kMostIdBytes) return own_id;
  std::string id = own_id;
  for (int64_t number = added_; id.empty() || by_id_.count(id) > 0; ++number) {
    id = absl::StrCat(own_id, "#", number);
    if (id.size() > kMostIdBytes) id = absl::StrCat("#", number);
  }
  return id;
}

UnansweredCalls::Request UnansweredCalls::Add(v1::ComputeAttentionRequest request) {
  std::string own_id = request.request_id();
  request.set_request_id(FreeId(own_id));
  auto kept = std::make_shared<const v1::ComputeAttentionRequest>(std::move(request));
  by_id_[kept->request_id()] = added_;
  calls_[added_++] = {kept, std::move(own_id)};
  return kept;
}

void UnansweredCalls::Answer(v1::ComputeAttentionResponse& response) {
  auto call = calls_.end();
  if (const auto found = by_id_.find(response.request_id()); found != by_id_.end()) {
    call = calls_.find(found->second);
    response.set_request_id(call->second.own_id);
  } else if (response.request_id().empty()) {
    call = std::find_if(calls_.begin(), calls_.end(),
                        [](const auto& kept) { return kept.second.own_id.size() > kMostIdBytes; });
  }
  if (call == calls_.end()) return;
  by_id_.erase(call->second.request->request_id());
  calls_.erase(call);
}

std::vector<UnansweredCalls::Request> UnansweredCalls::requests() const {
  std::vector<Request> all;
  all.reserve(calls_.size());
  for (const auto& [number, call] : calls_) all.push_back(call.request);
  return all;
}

}  // namespace attention::client
