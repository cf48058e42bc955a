#include "client/cli/commands/stream_files.h"

#include <exception>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/call_status.h"
#include "client/cli/commands/command_output.h"

namespace attention::client {
namespace {

// Writes all requests to the stream, on a thread of its own. If an exception destroys it, because
// an answer could not be shown, the stream is cancelled.
class Writer {
 public:
  Writer(AttentionStream& stream, const std::vector<RequestFile>& files)
      : stream_(stream), thread_([&stream, &files] {
          for (const RequestFile& file : files) {
            if (!stream.Write(file.request)) break;
          }
          stream.WritesDone();
        }) {}
  ~Writer() {
    if (std::uncaught_exceptions() > 0) stream_.Cancel();
    thread_.join();
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

 private:
  AttentionStream& stream_;
  std::thread thread_;
};

}  // namespace

ExitCode StreamFiles(
    const AttentionClient& client, std::vector<RequestFile>& files,
    absl::FunctionRef<ExitCode(size_t, const absl::StatusOr<v1::ComputeAttentionResponse>&)> show,
    std::ostream& err) {
  std::vector<std::string> ids;  // the request ids of the user
  for (RequestFile& file : files) {
    ids.push_back(file.request.request_id());
    file.request.set_request_id(absl::StrCat(ids.size() - 1));
  }
  AttentionStream stream = client.StreamAttention(client.options().timeout);
  ExitCode exit_code = kExitOk;
  size_t answers = 0;
  {
    const Writer writer(stream, files);
    while (std::optional<v1::ComputeAttentionResponse> response = stream.Read()) {
      size_t index = 0;
      if (!absl::SimpleAtoi(response->request_id(), &index) || index >= files.size()) continue;
      ++answers;
      response->set_request_id(ids[index]);
      const absl::Status error = FromGoogleStatus(response->error());
      const ExitCode shown = show(
          index,
          error.ok() ? absl::StatusOr<v1::ComputeAttentionResponse>(*std::move(response)) : error);
      if (exit_code == kExitOk) exit_code = shown;
    }
  }
  absl::Status status = stream.Finish();
  if (status.ok() && answers < files.size()) {
    status = absl::InternalError(
        absl::StrCat("the server answered ", answers, " of ", files.size(), " calls"));
  }
  return status.ok() ? exit_code : ReportFailure(status, err);
}

}  // namespace attention::client
