#ifndef ATTENTION_CLIENT_ATTENTION_STREAM_H_
#define ATTENTION_CLIENT_ATTENTION_STREAM_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "attention/v1/attention_service.grpc.pb.h"
#include "client/connections.h"
#include "grpcpp/client_context.h"

namespace attention::client {

// Many calls on one stream, answered as each finishes: request_id tells which. A call that fails is
// answered with `error`, and the stream goes on. AttentionClient::StreamAttention makes it.
//
//   AttentionStream stream = client.StreamAttention();
//   std::thread writer([&] {
//     for (const auto& request : requests) if (!stream.Write(request)) break;
//     stream.WritesDone();
//   });
//   while (auto response = stream.Read()) Use(*response);
//   writer.join();
//   absl::Status status = stream.Finish();
//
// One thread may write while another reads; the writer is done before Finish. Whoever writes
// without reading is held up once 64 answers wait. A stream that is destroyed before its end is
// cancelled.
class AttentionStream {
 public:
  // Waits until there is room for the request. False: the stream has ended, and Finish tells why;
  // or WritesDone was called.
  bool Write(const v1::ComputeAttentionRequest& request);
  // Says that no more requests come: the answers to those that did still do.
  void WritesDone();

  // The next answer; empty: the stream has ended.
  std::optional<v1::ComputeAttentionResponse> Read();

  // Ends it on both sides, from any thread: Write, Read and Finish return soon.
  void Cancel() { context_->TryCancel(); }

  // Waits for the stream's end and tells of it as calls of AttentionClient do. Says WritesDone, and
  // reads what has not been read. FAILED_PRECONDITION: it was called before.
  absl::Status Finish();

  ~AttentionStream();
  AttentionStream(AttentionStream&&) = default;
  AttentionStream& operator=(AttentionStream&&) = delete;

 private:
  friend class AttentionClient;
  using Call = grpc::ClientReaderWriter<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse>;

  AttentionStream(std::unique_ptr<Connections::Place> place, std::string target,
                  std::unique_ptr<grpc::ClientContext> context, std::unique_ptr<Call> call)
      : place_(std::move(place)),
        target_(std::move(target)),
        context_(std::move(context)),
        call_(std::move(call)) {}

  std::unique_ptr<Connections::Place> place_;
  std::string target_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Call> call_;  // null: finished, or moved from
  bool writes_done_ = false;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_ATTENTION_STREAM_H_
