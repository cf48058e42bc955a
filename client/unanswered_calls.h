#ifndef ATTENTION_CLIENT_UNANSWERED_CALLS_H_
#define ATTENTION_CLIENT_UNANSWERED_CALLS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "attention/v1/attention_service.pb.h"

namespace attention::client {

// The calls of one stream that have no answer yet, kept so that they can be made again. Answers are
// known by their request_id, which therefore differs between all calls that are kept: one whose own
// is empty, or that of another call, goes with a longer one and is answered with its own. For one
// thread at a time.
class UnansweredCalls {
 public:
  using Request = std::shared_ptr<const v1::ComputeAttentionRequest>;

  // Keeps a call; returns it as it is to be sent.
  Request Add(v1::ComputeAttentionRequest request);

  // Lets the call go that this is the answer to, and gives the answer that call's own request_id.
  // An answer to none of them stays as it is.
  void Answer(v1::ComputeAttentionResponse& response);

  // All that are kept, in the order in which they were added.
  std::vector<Request> requests() const;
  bool empty() const { return calls_.empty(); }

 private:
  struct Call {
    Request request;     // with the id that it goes with
    std::string own_id;  // and the caller's
  };
  std::string FreeId(const std::string& own_id) const;

  int64_t added_ = 0;
  std::map<int64_t, Call> calls_;  // by when they were added
  std::unordered_map<std::string, int64_t> by_id_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_UNANSWERED_CALLS_H_
