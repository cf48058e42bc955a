#ifndef ATTENTION_CLIENT_ATTENTION_STREAM_H_
#define ATTENTION_CLIENT_ATTENTION_STREAM_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attention/v1/attention_service.pb.h"
#include "client/connections.h"
#include "client/retries.h"

namespace attention::client {

// Many calls on one stream. Each is answered as soon as it finishes, and request_id tells which
// call an answer belongs to. A call that fails is answered with `error`, and the stream goes on.
// AttentionClient::StreamAttention makes a stream.
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
// If the stream ends with UNAVAILABLE, because its server stops, its connection breaks or a proxy
// loses one of them, another stream takes its place. Only the calls that have no answer yet are
// made again on it, within ClientOptions::retries. Therefore each request is kept until its answer
// has arrived.
//
// One thread may write while another reads; the writer must be done before Finish is called. If
// nobody reads, Write blocks once 64 answers wait. A stream that is destroyed before its end is
// cancelled.
class AttentionStream {
 public:
  // Waits until there is room for the request. Returns false if the stream has ended, in which case
  // Finish tells why, or if WritesDone was called.
  bool Write(v1::ComputeAttentionRequest request);
  // Tells the server that no more requests will come. Answers to earlier requests still arrive.
  void WritesDone();

  // Waits for the next answer; empty if the stream has ended.
  std::optional<v1::ComputeAttentionResponse> Read();

  // Cancels the stream. May be called from any thread; Write, Read and Finish then return soon.
  void Cancel();

  // Calls WritesDone, drops the answers that were not read, waits for the end of the stream and
  // returns its status, in the form of AttentionClient's other calls. FAILED_PRECONDITION if it was
  // called before.
  absl::Status Finish();

  ~AttentionStream();
  AttentionStream(AttentionStream&&) noexcept;
  AttentionStream& operator=(AttentionStream&&) = delete;

 private:
  friend class AttentionClient;
  class State;

  // Opens a stream to `target` over one of the `connections`.
  AttentionStream(std::shared_ptr<Connections> connections, std::shared_ptr<Retries> retries,
                  std::string target, absl::Time deadline);

  std::unique_ptr<State> state_;  // null: moved from
  bool finished_ = false;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_ATTENTION_STREAM_H_
