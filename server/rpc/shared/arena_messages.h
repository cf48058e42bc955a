#ifndef ATTENTION_SERVER_RPC_SHARED_ARENA_MESSAGES_H_
#define ATTENTION_SERVER_RPC_SHARED_ARENA_MESSAGES_H_

#include <google/protobuf/arena.h>
#include <grpcpp/support/message_allocator.h>

#include <array>
#include <cstddef>

namespace attention::rpc {

// Puts the request and the response of each call, and the messages within them, into one block of
// memory, which is freed with the call: for small calls, which are made of dozens of messages of
// some bytes, a good part of what they cost. The bytes of tensors lie outside of it. Thread-safe.
template <typename Request, typename Response>
class ArenaMessages final : public grpc::MessageAllocator<Request, Response> {
 public:
  grpc::MessageHolder<Request, Response>* AllocateMessages() override { return new Holder; }

 private:
  class Holder final : public grpc::MessageHolder<Request, Response> {
   public:
    Holder() : arena_(block_.data(), block_.size()) {
      this->set_request(google::protobuf::Arena::CreateMessage<Request>(&arena_));
      this->set_response(google::protobuf::Arena::CreateMessage<Response>(&arena_));
    }
    void Release() override { delete this; }

   private:
    // A call of a few tokens and its answer take about 1.5 KiB; larger ones get further blocks.
    alignas(8) std::array<char, 2048> block_;
    google::protobuf::Arena arena_;
  };
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_ARENA_MESSAGES_H_
