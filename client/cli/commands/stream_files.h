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

// Sends the requests of the files on one stream, and passes each answer to `show` when it arrives,
// with the index of its file. The client's timeout bounds the whole stream. Returns the first exit
// code that is not kExitOk.
ExitCode StreamFiles(
    const AttentionClient& client, std::vector<RequestFile>& files,
    absl::FunctionRef<ExitCode(size_t, const absl::StatusOr<v1::ComputeAttentionResponse>&)> show,
    std::ostream& err);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_STREAM_FILES_H_
