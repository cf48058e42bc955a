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
// Where the stream ends with UNAVAILABLE, since its server stops, its connection breaks or a proxy
// on the way loses either, another one takes its place: the calls that have no answer yet, and
// those alone, are made again on it, as ClientOptions::retries says. So each request is kept until
// its answer has come.
//
// One thread may write while another reads; the writer is done before Finish. Whoever writes
// without reading is held up once 64 answers wait. A stream that is destroyed before its end is
// cancelled.
class AttentionStream {
 public:
  // Waits until there is room for the request. False: the stream has ended, and Finish tells why;
  // or WritesDone was called.
  bool Write(v1::ComputeAttentionRequest request);
  // Says that no more requests come: the answers to those that did still do.
  void WritesDone();

  // The next answer; empty: the stream has ended.
  std::optional<v1::ComputeAttentionResponse> Read();

  // Ends it on both sides, from any thread: Write, Read and Finish return soon.
  void Cancel();

  // Waits for the stream's end and tells of it as calls of AttentionClient do. Says WritesDone, and
  // reads what has not been read. FAILED_PRECONDITION: it was called before.
  absl::Status Finish();

  ~AttentionStream();
  AttentionStream(AttentionStream&&) noexcept;
  AttentionStream& operator=(AttentionStream&&) = delete;

 private:
  friend class AttentionClient;
  class State;

  // Calls `target` over one of the `connections`.
  AttentionStream(std::shared_ptr<Connections> connections, std::shared_ptr<Retries> retries,
                  std::string target, absl::Time deadline);

  std::unique_ptr<State> state_;  // null: moved from
  bool finished_ = false;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_ATTENTION_STREAM_H_
