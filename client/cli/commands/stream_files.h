#ifndef ATTENTION_CLIENT_CLI_COMMANDS_STREAM_FILES_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_STREAM_FILES_H_

#include <cstddef>
#include <ostream>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "client/attention_client.h"
#include "client/cli/commands/commands.h"
#include "client/cli/files/request_file.h"

namespace attention::client {

// Sends the files' requests on one stream and gives each answer to `show` as it comes, with the
// file's index. All of it within the client's timeout. Returns the first exit code that is not
// kExitOk.
ExitCode StreamFiles(
    const AttentionClient& client, std::vector<RequestFile>& files,
    absl::FunctionRef<ExitCode(size_t, const absl::StatusOr<v1::ComputeAttentionResponse>&)> show,
    std::ostream& err);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_STREAM_FILES_H_
