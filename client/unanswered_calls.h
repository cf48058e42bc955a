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

// The calls of one stream that have no answer yet, kept so that they can be made again. An answer
// is matched to its call by request_id, so all calls that are kept must have different ids. A call
// whose own id is empty, or is that of another call, is sent with a longer id; its answer gets the
// own id back. For one thread at a time.
class UnansweredCalls {
 public:
  using Request = std::shared_ptr<const v1::ComputeAttentionRequest>;

  // Keeps a call, and returns it with the id with which it must be sent.
  Request Add(v1::ComputeAttentionRequest request);

  // Removes the call that `response` answers, and sets the answer's request_id to the call's own.
  // An answer to none of the calls stays as it is.
  void Answer(v1::ComputeAttentionResponse& response);

  // All calls that are kept, in the order in which they were added.
  std::vector<Request> requests() const;
  bool empty() const { return calls_.empty(); }

 private:
  struct Call {
    Request request;     // with the id with which it is sent
    std::string own_id;  // the caller's id
  };
  std::string FreeId(const std::string& own_id) const;

  int64_t added_ = 0;
  std::map<int64_t, Call> calls_;  // by the order in which they were added
  std::unordered_map<std::string, int64_t> by_id_;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_UNANSWERED_CALLS_H_
