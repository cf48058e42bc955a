#include "client/stream_files.h"

#include <optional>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/call_status.h"
#include "client/command_output.h"

namespace attention::client {

ExitCode StreamFiles(
    const AttentionClient& client, std::vector<RequestFile>& files,
    absl::FunctionRef<ExitCode(size_t, const absl::StatusOr<v1::ComputeAttentionResponse>&)> show,
    std::ostream& err) {
  for (size_t i = 0; i < files.size(); ++i) files[i].request.set_request_id(absl::StrCat(i));
  AttentionStream stream = client.StreamAttention();
  std::thread writer([&] {
    for (const RequestFile& file : files) {
      if (!stream.Write(file.request)) break;
    }
    stream.WritesDone();
  });
  ExitCode exit_code = kExitOk;
  size_t answers = 0;
  while (std::optional<v1::ComputeAttentionResponse> response = stream.Read()) {
    size_t index = 0;
    if (!absl::SimpleAtoi(response->request_id(), &index) || index >= files.size()) continue;
    ++answers;
    const absl::Status error = FromGoogleStatus(response->error());
    const ExitCode shown =
        show(index, error.ok() ? absl::StatusOr<v1::ComputeAttentionResponse>(*std::move(response))
                               : error);
    if (exit_code == kExitOk) exit_code = shown;
  }
  writer.join();
  absl::Status status = stream.Finish();
  if (status.ok() && answers < files.size()) {
    status = absl::InternalError(
        absl::StrCat("the server answered ", answers, " of ", files.size(), " calls"));
  }
  return status.ok() ? exit_code : ReportFailure(status, err);
}

}  // namespace attention::client
